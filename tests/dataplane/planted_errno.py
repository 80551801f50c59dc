"""A system call that fails as wanted in this process and what it starts, by a filter of the kernel
(seccomp, x86-64 and arm64). It cannot be taken away again: use it in a process of its own."""

import ctypes
import platform
import struct

ACCEPT4 = {"x86_64": 288, "aarch64": 242}
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
NO_NEW_PRIVILEGES, SET_SECCOMP, BY_FILTER = 38, 22, 2


def instruction(code, true, false, operand):
    return struct.pack("=HBBI", code, true, false, operand)


def fail_always(call, error):
    """From now on this system call (its number) fails with this errno on this thread and on those
    that it starts."""
    program = b"".join(
        (
            instruction(LOAD_WORD, 0, 0, 0),
            instruction(JUMP_IF_EQUAL, 0, 1, call),
            instruction(RETURN, 0, 0, FAIL | error),
            instruction(RETURN, 0, 0, ALLOW),
        )
    )
    kept = ctypes.create_string_buffer(program)
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    library = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    assert library.prctl(NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero) == 0
    done = library.prctl(SET_SECCOMP, ctypes.c_ulong(BY_FILTER), described, zero, zero)
    assert done == 0, ctypes.get_errno()


def fail_accept(error):
    """No connection can be accepted any more."""
    fail_always(ACCEPT4[platform.machine()], error)

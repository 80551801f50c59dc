"""A file system that fails or stands still on demand, under any broker: FUSE, spoken to the kernel.

It passes everything on to a folder beneath it. `FaultyDisk` mounts it, with the server in a process
of its own, and says what goes wrong: the errno of an operation, or that some kinds wait. Pages
that the kernel has cached are read without asking here, as with a real disk.
"""

import ctypes
import errno
import json
import os
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.peers.processes import OwnedProcess

REPOSITORY = Path(__file__).parent.parent.parent
ROOT_NODE = 1
IN_HEADER = struct.Struct("<IIQQIIIHH")
OUT_HEADER = struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<6Q10I")
SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
CACHE_SECONDS = 0  # names and sizes are asked for each time, so that a failure shows at once
KEEP_CACHE = 2
LONGEST_WRITE = 1 << 17
THREADS = 8
SERVER_DEADLINE_S = 10
# kinds of operations that a fault may name, by the operations of FUSE
KINDS = {
    **dict.fromkeys((15,), "read"),
    **dict.fromkeys((16, 43), "write"),
    **dict.fromkeys((4,), "truncate"),
    **dict.fromkeys((9, 10, 11, 12, 35, 45), "change"),
    **dict.fromkeys((20, 30), "sync"),
    **dict.fromkeys((1, 3, 14, 27, 28), "look"),
}


class FaultyDisk:
    """Mounted at `folder`; what is written lies in `beneath`. Use it as a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.beneath = folder.with_name(f"{folder.name}.beneath")
        self._faults = folder.with_name(f"{folder.name}.faults")
        self._server: OwnedProcess | None = None

    def __enter__(self) -> "FaultyDisk":
        assert os.geteuid() == 0, "this test mounts a file system: run it as root (CAP_SYS_ADMIN)"
        self.folder.mkdir()
        self.beneath.mkdir()
        self.mend()
        command = [sys.executable, "-m", __name__]
        command += [str(path) for path in (self.folder, self.beneath, self._faults)]
        output = self.folder.with_name(f"{self.folder.name}.server.log")
        self._server = OwnedProcess("faulty disk", command, output, cwd=REPOSITORY)
        self._server.wait_until(lambda: os.path.ismount(self.folder), SERVER_DEADLINE_S, "mounted")
        return self

    def __exit__(self, *failure: object) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=False, capture_output=True)
        if self._server is not None:
            self._server.kill()

    def fail(self, error: int, *kinds: str) -> None:
        """From now on the operations of these kinds (the values of KINDS) fail."""
        self._say(dict.fromkeys(kinds, error))

    def hold(self, kind: str = "read") -> None:
        """From now on an operation of this kind waits until the disk is mended; a read of what is
        cached is none."""
        self._say({f"hold {kind}": 1})

    def slow_down(self, kind: str, milliseconds: int) -> None:
        """From now on each operation of this kind takes so long."""
        self._say({f"slow {kind}": milliseconds})

    def mend(self) -> None:
        """From now on all is well again."""
        self._say({})

    def unmount(self) -> None:
        """Takes the disk away from under whoever uses it."""
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def _say(self, faults: dict[str, int]) -> None:
        staged = self._faults.with_suffix(".new")
        staged.write_text(json.dumps(faults))
        staged.replace(self._faults)


class Server:
    """Answers the kernel, on several threads."""

    def __init__(self, device: int, beneath: str, faults: str) -> None:
        self.device, self.beneath, self.faults = device, beneath, faults
        self.lock = threading.Lock()
        self.paths: dict[int, str] = {ROOT_NODE: ""}
        self.handlers: dict[int, Callable[[int, memoryview], bytes]] = {
            1: self.lookup,
            3: self.getattr,
            4: self.setattr,
            9: self.mkdir,
            10: self.unlink,
            11: self.rmdir,
            12: self.rename,
            14: self.open,
            15: self.read,
            16: self.write,
            17: self.statfs,
            18: self.release,
            20: self.fsync,
            25: self.nothing,
            26: self.init,
            27: self.opendir,
            28: self.readdir,
            29: self.nothing,
            30: self.nothing,
            35: self.create,
            43: self.fallocate,
            45: self.rename2,
        }

    def run(self) -> None:
        threads = [threading.Thread(target=self.serve, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def serve(self) -> None:
        while True:
            try:
                request = memoryview(os.read(self.device, LONGEST_WRITE + 4096))
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return  # unmounted
            _, operation, unique, node, *_ = IN_HEADER.unpack_from(request)
            if operation in (2, 42, 36):  # forget, interrupt: no answer is awaited
                continue
            try:
                self.misbehave(operation)
                handler = self.handlers.get(operation)
                if handler is None:
                    raise OSError(errno.ENOSYS, "not served")
                answer, code = handler(node, request[IN_HEADER.size :]), 0
            except OSError as error:
                answer, code = b"", error.errno or errno.EIO
            head = OUT_HEADER.pack(OUT_HEADER.size + len(answer), -code, unique)
            try:
                os.write(self.device, head + answer)
            except OSError as error:
                if error.errno != errno.ENOENT:  # it was interrupted meanwhile
                    return

    def misbehave(self, operation: int) -> None:
        kind = KINDS.get(operation)
        if kind is None:
            return
        wanted = self.wanted()
        while f"hold {kind}" in wanted:
            time.sleep(0.01)
            wanted = self.wanted()
        time.sleep(wanted.get(f"slow {kind}", 0) / 1000)
        if kind in wanted:
            raise OSError(wanted[kind], "as wanted")

    def wanted(self) -> dict[str, int]:
        with open(self.faults, encoding="utf-8") as file:
            found: dict[str, int] = json.load(file)
        return found

    # --- names ---

    def path(self, node: int, name: bytes = b"") -> str:
        with self.lock:
            parent = self.paths[node]
        return f"{parent}/{name.decode()}" if name else parent

    def real(self, path: str) -> str:
        return self.beneath + path

    def node_of(self, path: str) -> int:
        with self.lock:
            for node, known in self.paths.items():
                if known == path:
                    return node
            node = max(self.paths) + 1
            self.paths[node] = path
            return node

    def entry(self, path: str) -> bytes:
        found = os.lstat(self.real(path))
        head = struct.pack("<QQQQII", self.node_of(path), 0, CACHE_SECONDS, CACHE_SECONDS, 0, 0)
        return head + attributes(found)

    def lookup(self, node: int, body: memoryview) -> bytes:
        return self.entry(self.path(node, text(body)))

    def getattr(self, node: int, body: memoryview) -> bytes:
        found = os.lstat(self.real(self.path(node)))
        return struct.pack("<QII", CACHE_SECONDS, 0, 0) + attributes(found)

    def setattr(self, node: int, body: memoryview) -> bytes:
        valid, _, handle, size, *_, mode, _, _, _, _ = SETATTR.unpack_from(body)
        path = self.real(self.path(node))
        if valid & 1:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & 8:
            os.truncate(handle if valid & 64 else path, size)
        return self.getattr(node, body)

    def mkdir(self, node: int, body: memoryview) -> bytes:
        path = self.path(node, text(body[8:]))
        os.mkdir(self.real(path), 0o755)
        return self.entry(path)

    def unlink(self, node: int, body: memoryview) -> bytes:
        path = self.path(node, text(body))
        os.unlink(self.real(path))
        self.moved(path, "/nowhere")
        return b""

    def rmdir(self, node: int, body: memoryview) -> bytes:
        os.rmdir(self.real(self.path(node, text(body))))
        return b""

    def rename(self, node: int, body: memoryview, header: int = 8) -> bytes:
        (target,) = struct.unpack_from("<Q", body)
        old, new = bytes(body[header:]).split(b"\0")[:2]
        source, destination = self.path(node, old), self.path(target, new)
        os.rename(self.real(source), self.real(destination))
        self.moved(destination, "/nowhere")
        self.moved(source, destination)
        return b""

    def rename2(self, node: int, body: memoryview) -> bytes:
        return self.rename(node, body, 16)

    def moved(self, source: str, destination: str) -> None:
        with self.lock:
            for node, path in self.paths.items():
                if path == source or path.startswith(f"{source}/"):
                    self.paths[node] = destination + path[len(source) :]

    # --- content ---

    def open(self, node: int, body: memoryview) -> bytes:
        (flags,) = struct.unpack_from("<I", body)
        kept = flags & (os.O_ACCMODE | os.O_TRUNC)
        handle = os.open(self.real(self.path(node)), kept)
        return struct.pack("<QIi", handle, KEEP_CACHE, 0)

    def create(self, node: int, body: memoryview) -> bytes:
        flags, mode = struct.unpack_from("<II", body)
        path = self.path(node, text(body[16:]))
        kept = flags & (os.O_ACCMODE | os.O_TRUNC | os.O_EXCL) | os.O_CREAT
        handle = os.open(self.real(path), kept, mode & 0o777)
        return self.entry(path) + struct.pack("<QIi", handle, KEEP_CACHE, 0)

    def read(self, node: int, body: memoryview) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(handle, size, offset)

    def write(self, node: int, body: memoryview) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(handle, body[40 : 40 + size], offset), 0)

    def fallocate(self, node: int, body: memoryview) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "not served")

    def fsync(self, node: int, body: memoryview) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def release(self, node: int, body: memoryview) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def nothing(self, node: int, body: memoryview) -> bytes:
        return b""

    # --- folders and the whole ---

    def opendir(self, node: int, body: memoryview) -> bytes:
        return struct.pack("<QIi", 0, 0, 0)

    def readdir(self, node: int, body: memoryview) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        names = [".", "..", *sorted(os.listdir(self.real(self.path(node))))]
        out = b""
        for number, name in list(enumerate(names, 1))[offset:]:
            entry = struct.pack("<QQII", number, number, len(name.encode()), 0) + name.encode()
            entry += bytes(-len(entry) % 8)
            if len(out) + len(entry) > size:
                break
            out += entry
        return out

    def statfs(self, node: int, body: memoryview) -> bytes:
        found = os.statvfs(self.beneath)
        counts = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("<5Q4I24x", *counts, found.f_bsize, 255, found.f_frsize, 0)

    def init(self, node: int, body: memoryview) -> bytes:
        readahead = struct.unpack_from("<IIII", body)[2]
        big_writes_and_async_reads = 1 << 5 | 1
        answer = (7, 31, readahead, big_writes_and_async_reads, 128, 96, LONGEST_WRITE, 1)
        return struct.pack("<IIIIHHII", *answer).ljust(64, b"\0")


def attributes(found: os.stat_result) -> bytes:
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    seconds = (each // 10**9 for each in times)
    rest = (each % 10**9 for each in times)
    head = (found.st_ino, found.st_size, found.st_blocks, *seconds, *rest)
    return ATTRIBUTES.pack(*head, found.st_mode, found.st_nlink, 0, 0, 0, 4096, 0)


def text(body: memoryview) -> bytes:
    return bytes(body).split(b"\0")[0]


def main(folder: str, beneath: str, faults: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    library = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    if library.mount(b"faulty", folder.encode(), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    Server(device, beneath, faults).run()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of record batches."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t, uint32_t


cdef extern from "crc32c_impl.h" nogil:
    void fl_crc32c_setup() noexcept
    uint32_t fl_crc32c(uint32_t crc, const uint8_t *data, size_t size) noexcept
    const char *fl_crc32c_name() noexcept
    void fl_crc32c_force_portable(int force) noexcept


cdef uint32_t crc32c(uint32_t crc, const uint8_t *data, int64_t size) noexcept nogil:
    return fl_crc32c(crc, data, <size_t>size)


def checksum(data, uint32_t crc=0) -> int:
    """The CRC-32C of a bytes-like object; `crc`, the sum of what came before, continues it."""
    cdef Py_buffer view
    cdef uint32_t result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    with nogil:
        result = fl_crc32c(crc, <const uint8_t *>view.buf, <size_t>view.len)
    PyBuffer_Release(&view)
    return result


def implementation() -> str:
    """What computes it on this processor: "sse4.2", "armv8" or "portable"."""
    return fl_crc32c_name().decode()


def force_portable(bint force=True) -> None:
    """For tests: takes the tables instead of the instruction, in the whole process."""
    fl_crc32c_force_portable(force)


fl_crc32c_setup()

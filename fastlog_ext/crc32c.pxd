from libc.stdint cimport int64_t, uint8_t, uint32_t
# CRC-32C (Castagnoli, RFC 3720). The instruction is chosen at run time; a portable fallback
# otherwise.
cdef uint32_t crc32c(uint32_t crc, const uint8_t *data, int64_t size) noexcept nogil

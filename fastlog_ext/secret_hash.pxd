# For tables whose keys clients choose: who does not know this process's key cannot choose keys that
# all fall into one place.
from libc.stdint cimport int64_t, uint64_t, uint8_t

# Of a number and `size` bytes (data may be NULL when there are none).
cdef uint64_t secret_hash(uint64_t number, const uint8_t *data, int64_t size) noexcept nogil

"""SipHash-1-3 (J.-P. Aumasson, D. J. Bernstein, 2012), under a key of the kernel's randomness."""
from libc.stdint cimport int64_t, uint64_t, uint8_t
from libc.string cimport memcpy
from fastlog_ext.system cimport getrandom

cdef struct State:
    uint64_t a
    uint64_t b
    uint64_t c
    uint64_t d

cdef uint64_t key[2]
if getrandom(key, sizeof(key), 0) != sizeof(key):
    raise OSError("the kernel gives no randomness")


cdef inline uint64_t rotated(uint64_t value, int bits) noexcept nogil:
    return value << bits | value >> (64 - bits)


cdef inline void mix(State *state) noexcept nogil:
    state.a += state.b
    state.b = rotated(state.b, 13) ^ state.a
    state.a = rotated(state.a, 32)
    state.c += state.d
    state.d = rotated(state.d, 16) ^ state.c
    state.a += state.d
    state.d = rotated(state.d, 21) ^ state.a
    state.c += state.b
    state.b = rotated(state.b, 17) ^ state.c
    state.c = rotated(state.c, 32)


cdef inline void take(State *state, uint64_t block) noexcept nogil:
    state.d ^= block
    mix(state)
    state.a ^= block


cdef uint64_t secret_hash(uint64_t number, const uint8_t *data, int64_t size) noexcept nogil:
    cdef State state
    cdef uint64_t block
    cdef int64_t left = size
    state.a = key[0] ^ <uint64_t>0x736f6d6570736575
    state.b = key[1] ^ <uint64_t>0x646f72616e646f6d
    state.c = key[0] ^ <uint64_t>0x6c7967656e657261
    state.d = key[1] ^ <uint64_t>0x7465646279746573
    take(&state, number)
    while left >= 8:
        memcpy(&block, data + (size - left), 8)
        take(&state, block)
        left -= 8
    block = 0
    if left > 0:
        memcpy(&block, data + (size - left), <size_t>left)
    take(&state, block | <uint64_t>(size + 8) << 56)
    state.c ^= 0xff
    mix(&state)
    mix(&state)
    mix(&state)
    return state.a ^ state.b ^ state.c ^ state.d

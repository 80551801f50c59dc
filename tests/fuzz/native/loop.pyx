"""Breaks inputs, gives them to a target, keeps those that reached something new."""
import time

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove
from fastlog_ext.endian cimport put16, put32, put64

cdef extern from "coverage.h" nogil:
    void coverage_set(int on)
    int coverage_fresh()
    void coverage_forget()

cdef enum:
    ENTRIES = 4096
    STEP = 4096             # inputs between two looks at the clock

# Numbers at which arithmetic goes wrong, in any width that the formats use.
cdef int64_t[32] EDGES = [
    0, 1, 2, 3, 48, 49, 60, 61, 62, 100, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x10000,
    0x7fffff, 0xffffff, 0x7fffffff - 61, 0x7fffffff - 12, 0x7fffffff, 0x80000000, 0xfffffffe,
    0xffffffff, 0x100000000, 1 << 62, 0x7fffffffffffffff, -0x7fffffffffffffff - 1, -2, -1]

cdef struct Entry:
    uint8_t *data
    int32_t size

cdef struct Corpus:
    Entry entries[ENTRIES]
    int32_t count
    uint64_t random

cdef class Target:
    """One parser, as a C function."""


class Finding(Exception):
    """A target found something wrong; `data` is what it was given."""

    def __init__(self, message, data):
        super().__init__(message)
        self.data = data


cdef inline uint64_t chance(Corpus *corpus) noexcept nogil:
    """xorshift64*"""
    cdef uint64_t x = corpus.random
    x ^= x >> 12
    x ^= x << 25
    x ^= x >> 27
    corpus.random = x
    return x * <uint64_t>2685821657736338717


cdef inline int32_t below(Corpus *corpus, int32_t limit) noexcept nogil:
    return <int32_t>((chance(corpus) >> 33) % <uint64_t>limit) if limit > 0 else 0


cdef int32_t insert(Corpus *corpus, uint8_t *data, int32_t size, const uint8_t *piece,
                    int32_t count) noexcept nogil:
    cdef int32_t at = below(corpus, size + 1)
    if size + count > INPUT_MAX:
        return size
    memmove(data + at + count, data + at, size - at)
    memcpy(data + at, piece, count)
    return size + count


cdef void number(Corpus *corpus, uint8_t *data, int32_t size) noexcept nogil:
    """An interesting one, or a near neighbour of what is there."""
    cdef int32_t width = 1 << below(corpus, 4)
    cdef int64_t value = EDGES[below(corpus, 32)]
    # Most fields lie near the start.
    cdef int32_t at = below(corpus, min(size, 96) if chance(corpus) & 1 else size)
    if at + width > size:
        return
    if width == 1:
        data[at] = <uint8_t>value if chance(corpus) & 1 else data[at] + <uint8_t>(
            below(corpus, 9) - 4)
    elif width == 2:
        put16(data + at, <short>value)
    elif width == 4:
        put32(data + at, <int32_t>value)
    else:
        put64(data + at, value)


cdef int32_t varint(Corpus *corpus, uint8_t *data, int32_t size) noexcept nogil:
    """Of one to eleven bytes: eleven are too many."""
    cdef uint8_t piece[11]
    cdef int32_t count = 1 + below(corpus, 11)
    cdef int32_t i
    for i in range(count):
        piece[i] = 0x80 | <uint8_t>(0xff if chance(corpus) & 1 else chance(corpus) >> 40)
    piece[count - 1] &= 0x7f
    if chance(corpus) & 1 and count <= size:
        memcpy(data + below(corpus, size - count + 1), piece, count)
        return size
    return insert(corpus, data, size, piece, count)


cdef int32_t digits(Corpus *corpus, uint8_t *data, int32_t size) noexcept nogil:
    """For the formats that are text."""
    cdef const uint8_t *signs = b"0123456789 \n-9\t"
    cdef int32_t i, at = below(corpus, size)
    for i in range(at, min(size, at + 1 + below(corpus, 12))):
        data[i] = signs[below(corpus, 15)]
    return size


cdef int32_t splice(Corpus *corpus, uint8_t *data, int32_t size) noexcept nogil:
    """A piece of another input."""
    cdef Entry *other = &corpus.entries[below(corpus, corpus.count)]
    cdef int32_t start = below(corpus, other.size)
    cdef int32_t count = min(other.size - start, 1 + below(corpus, 200))
    cdef int32_t at = below(corpus, size)
    if chance(corpus) & 1:
        return insert(corpus, data, size, other.data + start, count)
    count = min(count, size - at)
    memcpy(data + at, other.data + start, count)
    return size


cdef int32_t cut(Corpus *corpus, uint8_t *data, int32_t size) noexcept nogil:
    cdef int32_t at = below(corpus, size)
    cdef int32_t count = min(size - at, 1 + below(corpus, 16))
    if chance(corpus) & 1:
        return at
    memmove(data + at, data + at + count, size - at - count)
    return size - count


cdef int32_t mutate(Corpus *corpus, uint8_t *data, int32_t size) noexcept nogil:
    cdef uint8_t noise[8]
    cdef int32_t kind = below(corpus, 12)
    if size < 4:
        put64(noise, <int64_t>chance(corpus))
        return insert(corpus, data, size, noise, 8)
    if kind < 3:
        data[below(corpus, size)] ^= <uint8_t>(1 << below(corpus, 8))
    elif kind < 6:
        number(corpus, data, size)
    elif kind == 6:
        return varint(corpus, data, size)
    elif kind == 7:
        return cut(corpus, data, size)
    elif kind == 8:
        return digits(corpus, data, size)
    elif kind == 9:
        data[below(corpus, size)] = <uint8_t>(chance(corpus) >> 40)
    else:
        return splice(corpus, data, size)
    return size


cdef int add(Corpus *corpus, const uint8_t *data, int32_t size) noexcept nogil:
    cdef Entry *entry = &corpus.entries[corpus.count]
    if corpus.count == ENTRIES or size > INPUT_MAX:
        return 0
    entry.data = <uint8_t *>malloc(size if size > 0 else 1)
    if entry.data == NULL:
        return 0
    memcpy(entry.data, data, size)
    entry.size = size
    corpus.count += 1
    return 1


cdef const char *try_one(Target target, const uint8_t *data, int32_t size,
                         int32_t *fresh) noexcept nogil:
    """In a block of its own, so that a byte too far is seen."""
    cdef const char *wrong
    cdef uint8_t *copy = <uint8_t *>malloc(size)
    if copy == NULL:
        return b"out of memory"
    memcpy(copy, data, size)
    coverage_set(1)
    wrong = target.run(copy, size)
    coverage_set(0)
    fresh[0] = coverage_fresh()
    free(copy)
    return wrong


cdef const char *step(Corpus *corpus, Target target, uint8_t *last, int64_t count,
                      uint8_t *data, int32_t *size) noexcept nogil:
    """`count` inputs. `last` holds the newest of them, its size before it, whatever happens."""
    cdef const char *wrong
    cdef Entry *entry
    cdef int64_t i
    cdef int32_t breaks, fresh = 0
    for i in range(count):
        entry = &corpus.entries[below(corpus, corpus.count)]
        size[0] = entry.size
        memcpy(data, entry.data, entry.size)
        for breaks in range(1 << below(corpus, 4)):
            size[0] = mutate(corpus, data, size[0])
        if target.mend != NULL and below(corpus, 8):
            size[0] = target.mend(data, size[0], chance(corpus))
        put32(last, size[0])
        memcpy(last + 4, data, size[0])
        wrong = try_one(target, data, size[0], &fresh)
        if wrong != NULL:
            return wrong
        if fresh:
            add(corpus, data, size[0])
    return NULL


cdef load(Corpus *corpus, Target target, list inputs):
    """The inputs as they are; all that they reach is known from then on."""
    cdef int32_t fresh = 0
    cdef const char *wrong
    coverage_forget()
    for one in inputs:
        wrong = try_one(target, one, len(one), &fresh)
        if wrong != NULL:
            raise Finding(wrong.decode(), one)
        add(corpus, one, len(one))


def fuzz(Target target, list inputs, uint64_t seed, int64_t count, double seconds,
         uint8_t[::1] last):
    """Runs up to `count` inputs made of `inputs`, for at most so many seconds.

    (how many, the inputs that reached something new). Raises Finding. `last` is memory that
    outlives the process, of 4 + INPUT_MAX bytes at least.
    """
    cdef Corpus *corpus = <Corpus *>malloc(sizeof(Corpus))
    cdef uint8_t data[INPUT_MAX]
    cdef int32_t size = 0
    cdef int64_t done = 0, now
    cdef int32_t i
    cdef const char *wrong = NULL
    if corpus == NULL:
        raise MemoryError
    corpus.count = 0
    corpus.random = seed * 2 + 1
    end = time.monotonic() + seconds
    try:
        load(corpus, target, inputs)
        while done < count and time.monotonic() < end:
            now = min(<int64_t>STEP, count - done)
            with nogil:
                wrong = step(corpus, target, &last[0], now, data, &size)
            if wrong != NULL:
                raise Finding(wrong.decode(), data[:size])
            done += now
        return done, [corpus.entries[i].data[:corpus.entries[i].size]
                      for i in range(len(inputs), corpus.count)]
    finally:
        for i in range(corpus.count):
            free(corpus.entries[i].data)
        free(corpus)


def smallest(Target target, list inputs):
    """Those that together reach what all of them reach, preferring short ones."""
    cdef int32_t fresh = 0
    coverage_forget()
    kept = []
    for one in sorted(inputs, key=len):
        try_one(target, one, len(one), &fresh)
        if fresh:
            kept.append(one)
    return kept

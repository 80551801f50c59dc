# Decompression in bounded steps, and compression, without the GIL: none 0, gzip 1, snappy 2 (raw and xerial
# framing), lz4 3 (frame), zstd 4.
from libc.stdint cimport int64_t, uint8_t

cdef struct Decoder:
    int codec
    const uint8_t *source           # rest of the compressed input
    int64_t source_size
    int64_t produced                # in total, so that a bomb is noticed
    int64_t limit                   # produced beyond this: error
    void *state

cdef int decoder_open(Decoder *decoder, int codec, const uint8_t *source, int64_t size, int64_t limit) noexcept nogil
# Fills at most `capacity` bytes. > 0 produced, 0 end of the data, -1 corrupt or over the limit, -2 out of memory.
cdef int64_t decoder_read(Decoder *decoder, uint8_t *out, int64_t capacity) noexcept nogil
cdef void decoder_close(Decoder *decoder) noexcept nogil

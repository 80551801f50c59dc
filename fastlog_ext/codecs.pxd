# Decompression in bounded steps, and compression, without the GIL: none 0, gzip 1, snappy 2 (raw
# and xerial framing), lz4 3 (frame), zstd 4.
from libc.stdint cimport int64_t, uint8_t

cdef enum:
    CODEC_NONE = 0
    CODEC_GZIP = 1
    CODEC_SNAPPY = 2
    CODEC_LZ4 = 3
    CODEC_ZSTD = 4
    CODEC_COUNT = 5

cdef struct Decoder:
    int codec
    const uint8_t *source           # rest of the compressed input
    int64_t source_size
    int64_t produced                # in total, so that a bomb is noticed
    int64_t limit                   # produced beyond this: error
    void *state

# 0, -1 unknown codec, -2 out of memory. Close only what was opened; the source must stay.
cdef int decoder_open(Decoder *decoder, int codec, const uint8_t *source, int64_t size,
                      int64_t limit) noexcept nogil
# Fills at most `capacity` bytes. > 0 produced, 0 end of the data, -1 corrupt or over the limit,
# -2 out of memory.
cdef int64_t decoder_read(Decoder *decoder, uint8_t *out, int64_t capacity) noexcept nogil
cdef void decoder_close(Decoder *decoder) noexcept nogil

cdef enum:
    COMPRESSION_DEFAULT_LEVEL = -32768

# Room that is always enough for codec_compress; -1: unknown codec or size out of range.
cdef int64_t codec_bound(int codec, int64_t size) noexcept nogil
# Bytes written, or -1. Snappy is written in xerial framing, as the Java client does.
cdef int64_t codec_compress(int codec, const uint8_t *source, int64_t size, uint8_t *out,
                            int64_t capacity, int level) noexcept nogil

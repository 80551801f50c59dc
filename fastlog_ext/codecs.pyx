"""The codecs of record batches over their own C libraries: bounded decoders, one-shot compressors.

A decoder writes into the caller's buffer and no further, so what a batch expands to costs time in
proportion to its limit and no memory. Raw snappy has no stream: its block is decoded whole, after
its declared length is held against the limit and against what the format can express.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from fastlog_ext.endian cimport get32, put32


cdef extern from "<zlib.h>" nogil:
    ctypedef struct z_stream:
        unsigned char *next_in
        unsigned int avail_in
        unsigned char *next_out
        unsigned int avail_out
    int Z_OK, Z_STREAM_END, Z_NO_FLUSH, Z_FINISH, Z_BUF_ERROR, Z_MEM_ERROR
    int Z_DEFLATED, Z_DEFAULT_STRATEGY, Z_DEFAULT_COMPRESSION
    int inflateInit2(z_stream *stream, int window_bits) noexcept
    int inflate(z_stream *stream, int flush) noexcept
    int inflateReset(z_stream *stream) noexcept
    int inflateEnd(z_stream *stream) noexcept
    int deflateInit2(z_stream *stream, int level, int method, int window_bits, int memory_level,
                     int strategy) noexcept
    int deflate(z_stream *stream, int flush) noexcept
    int deflateEnd(z_stream *stream) noexcept
    unsigned long compressBound(unsigned long size) noexcept

cdef extern from "<snappy-c.h>" nogil:
    enum snappy_status:
        SNAPPY_OK
    snappy_status snappy_compress(const char *source, size_t size, char *out,
                                  size_t *out_size) noexcept
    snappy_status snappy_uncompress(const char *source, size_t size, char *out,
                                    size_t *out_size) noexcept
    size_t snappy_max_compressed_length(size_t size) noexcept
    snappy_status snappy_uncompressed_length(const char *source, size_t size,
                                             size_t *result) noexcept

cdef extern from "<lz4frame.h>" nogil:
    ctypedef struct LZ4F_dctx:
        pass
    ctypedef struct LZ4F_frameInfo_t:
        int blockSizeID
        int blockMode
        int contentChecksumFlag
    ctypedef struct LZ4F_preferences_t:
        LZ4F_frameInfo_t frameInfo
        int compressionLevel
    enum:
        LZ4F_VERSION
        LZ4F_max64KB
        LZ4F_blockIndependent
    unsigned LZ4F_isError(size_t code) noexcept
    size_t LZ4F_createDecompressionContext(LZ4F_dctx **context, unsigned version) noexcept
    size_t LZ4F_freeDecompressionContext(LZ4F_dctx *context) noexcept
    size_t LZ4F_decompress(LZ4F_dctx *context, void *out, size_t *out_size, const void *source,
                           size_t *source_size, const void *options) noexcept
    size_t LZ4F_compressFrameBound(size_t size, const LZ4F_preferences_t *preferences) noexcept
    size_t LZ4F_compressFrame(void *out, size_t capacity, const void *source, size_t size,
                              const LZ4F_preferences_t *preferences) noexcept

cdef extern from "<zstd.h>" nogil:
    ctypedef struct ZSTD_DCtx:
        pass
    ctypedef struct ZSTD_inBuffer:
        const void *src
        size_t size
        size_t pos
    ctypedef struct ZSTD_outBuffer:
        void *dst
        size_t size
        size_t pos
    enum: ZSTD_CLEVEL_DEFAULT
    ZSTD_DCtx *ZSTD_createDCtx() noexcept
    size_t ZSTD_freeDCtx(ZSTD_DCtx *context) noexcept
    size_t ZSTD_decompressStream(ZSTD_DCtx *context, ZSTD_outBuffer *out,
                                 ZSTD_inBuffer *source) noexcept
    unsigned ZSTD_isError(size_t code) noexcept
    size_t ZSTD_compressBound(size_t size) noexcept
    size_t ZSTD_compress(void *out, size_t capacity, const void *source, size_t size,
                         int level) noexcept


cdef enum:
    GZIP_WINDOW = 15 + 16               # 32 KiB, gzip wrapper
    LZ4_LINKED_BLOCKS_HEADER = 5        # bytes up to the flags
    LZ4_INDEPENDENT = 0x20              # flag: blocks do not refer to earlier ones
    XERIAL_HEADER = 16                  # magic 8, version 4, oldest compatible version 4
    XERIAL_BLOCK = 32 * 1024            # what snappy-java writes
    SNAPPY_EXPANSION = 22               # a copy of 64 bytes costs 3: no input can expand more
    COMPRESS_MAX = 0x7e000000           # the libraries take sizes up to about 2 GiB

cdef const uint8_t *XERIAL_MAGIC = <const uint8_t *>b"\x82SNAPPY\x00"
cdef const uint8_t *LZ4_MAGIC = <const uint8_t *>b"\x04\x22\x4d\x18"

cdef struct GzipState:
    z_stream stream
    int ended               # a member has ended, another may follow

cdef struct SnappyState:
    int xerial
    int begun               # something has been read
    uint8_t *block          # the decoded block, handed out piece by piece
    int64_t block_capacity
    int64_t block_size
    int64_t block_at

cdef struct Lz4State:
    LZ4F_dctx *context
    int ended

cdef struct ZstdState:
    ZSTD_DCtx *context
    int inside              # a frame has begun and not ended


# ---- decoding


cdef int decoder_open(Decoder *decoder, int codec, const uint8_t *source, int64_t size,
                      int64_t limit) noexcept nogil:
    decoder.codec = codec
    decoder.source = source
    decoder.source_size = size if size > 0 else 0
    decoder.produced = 0
    decoder.limit = limit
    decoder.state = NULL
    if codec == CODEC_NONE:
        return 0
    if codec == CODEC_GZIP:
        return open_gzip(decoder)
    if codec == CODEC_SNAPPY:
        return open_snappy(decoder)
    if codec == CODEC_LZ4:
        return open_lz4(decoder)
    if codec == CODEC_ZSTD:
        return open_zstd(decoder)
    return -1


cdef int64_t decoder_read(Decoder *decoder, uint8_t *out, int64_t capacity) noexcept nogil:
    cdef int64_t got
    # One byte beyond the limit is asked for, so that data which ends at the limit is told from
    # more.
    if capacity > decoder.limit - decoder.produced:
        capacity = decoder.limit - decoder.produced + 1
    if capacity <= 0:
        return -1
    if decoder.codec == CODEC_GZIP:
        got = read_gzip(decoder, out, capacity)
    elif decoder.codec == CODEC_SNAPPY:
        got = read_snappy(decoder, out, capacity)
    elif decoder.codec == CODEC_LZ4:
        got = read_lz4(decoder, out, capacity)
    elif decoder.codec == CODEC_ZSTD:
        got = read_zstd(decoder, out, capacity)
    else:
        got = capacity if capacity < decoder.source_size else decoder.source_size
        memcpy(out, decoder.source, <size_t>got)
        consume(decoder, got)
    if got > 0:
        decoder.produced += got
        if decoder.produced > decoder.limit:
            return -1
    return got


cdef void decoder_close(Decoder *decoder) noexcept nogil:
    if decoder.state == NULL:
        return
    if decoder.codec == CODEC_GZIP:
        inflateEnd(&(<GzipState *>decoder.state).stream)
    elif decoder.codec == CODEC_SNAPPY:
        free((<SnappyState *>decoder.state).block)
    elif decoder.codec == CODEC_LZ4:
        LZ4F_freeDecompressionContext((<Lz4State *>decoder.state).context)
    elif decoder.codec == CODEC_ZSTD:
        ZSTD_freeDCtx((<ZstdState *>decoder.state).context)
    free(decoder.state)
    decoder.state = NULL


cdef inline void consume(Decoder *decoder, int64_t size) noexcept nogil:
    decoder.source += size
    decoder.source_size -= size


cdef void *new_state(Decoder *decoder, size_t size) noexcept nogil:
    decoder.state = malloc(size)
    if decoder.state != NULL:
        memset(decoder.state, 0, size)
    return decoder.state


cdef int open_gzip(Decoder *decoder) noexcept nogil:
    cdef GzipState *state = <GzipState *>new_state(decoder, sizeof(GzipState))
    if state == NULL:
        return -2
    if inflateInit2(&state.stream, GZIP_WINDOW) != Z_OK:
        free(state)
        decoder.state = NULL
        return -2
    return 0


cdef int64_t read_gzip(Decoder *decoder, uint8_t *out, int64_t capacity) noexcept nogil:
    cdef GzipState *state = <GzipState *>decoder.state
    cdef z_stream *stream = &state.stream
    cdef unsigned int given, room
    cdef int result
    while True:
        if state.ended:
            # Members may follow one another; anything else behind the last one is ignored, as in
            # Java.
            if decoder.source_size < 2 or decoder.source[0] != 0x1f or decoder.source[1] != 0x8b:
                return 0
            if inflateReset(stream) != Z_OK:
                return -1
            state.ended = 0
        given = <unsigned int>min(decoder.source_size, <int64_t>COMPRESS_MAX)
        room = <unsigned int>min(capacity, <int64_t>COMPRESS_MAX)
        stream.next_in = <unsigned char *>decoder.source
        stream.avail_in = given
        stream.next_out = out
        stream.avail_out = room
        result = inflate(stream, Z_NO_FLUSH)
        consume(decoder, given - stream.avail_in)
        if result == Z_STREAM_END:
            state.ended = 1
        elif result == Z_MEM_ERROR:
            return -2
        elif result != Z_OK:
            return -1           # Z_BUF_ERROR too: the input ended early
        if stream.avail_out < room:
            return room - stream.avail_out


cdef int open_snappy(Decoder *decoder) noexcept nogil:
    cdef SnappyState *state = <SnappyState *>new_state(decoder, sizeof(SnappyState))
    if state == NULL:
        return -2
    if decoder.source_size >= XERIAL_HEADER and memcmp(decoder.source, XERIAL_MAGIC, 8) == 0:
        state.xerial = state.begun = 1
        consume(decoder, XERIAL_HEADER)
    return 0


cdef int64_t read_snappy(Decoder *decoder, uint8_t *out, int64_t capacity) noexcept nogil:
    cdef SnappyState *state = <SnappyState *>decoder.state
    cdef int64_t size
    cdef int result
    while state.block_at == state.block_size:
        if decoder.source_size == 0:
            return 0 if state.begun else -1         # even nothing is a block, of one byte
        state.begun = 1
        result = next_snappy_block(decoder, state)
        if result != 0:
            return result
    size = min(state.block_size - state.block_at, capacity)
    memcpy(out, state.block + state.block_at, <size_t>size)
    state.block_at += size
    return size


cdef int next_snappy_block(Decoder *decoder, SnappyState *state) noexcept nogil:
    cdef int64_t size = decoder.source_size
    cdef size_t length = 0
    cdef uint8_t *grown
    if state.xerial:
        while decoder.source_size >= XERIAL_HEADER and memcmp(decoder.source, XERIAL_MAGIC, 8) == 0:
            consume(decoder, XERIAL_HEADER)     # streams may be concatenated
        if decoder.source_size == 0:
            return 0
        if decoder.source_size < 4:
            return -1
        size = get32(decoder.source)
        consume(decoder, 4)
        if size < 0 or size > decoder.source_size:
            return -1
    if snappy_uncompressed_length(<const char *>decoder.source, <size_t>size, &length) != SNAPPY_OK:
        return -1
    if <int64_t>length > decoder.limit - decoder.produced:
        decoder.produced += <int64_t>length     # so that it is told from what is corrupt
        return -1
    if <int64_t>length > size * SNAPPY_EXPANSION:
        return -1
    if <int64_t>length > state.block_capacity:
        grown = <uint8_t *>realloc(state.block, length)
        if grown == NULL:
            return -2
        state.block = grown
        state.block_capacity = <int64_t>length
    if length > 0 and snappy_uncompress(<const char *>decoder.source, <size_t>size,
                                        <char *>state.block, &length) != SNAPPY_OK:
        return -1
    consume(decoder, size)
    state.block_size = <int64_t>length
    state.block_at = 0
    return 0


cdef int open_lz4(Decoder *decoder) noexcept nogil:
    cdef Lz4State *state = <Lz4State *>new_state(decoder, sizeof(Lz4State))
    if state == NULL:
        return -2
    if LZ4F_isError(LZ4F_createDecompressionContext(&state.context, LZ4F_VERSION)):
        free(state)
        decoder.state = NULL
        return -2
    # Linked blocks are refused, as Kafka's clients cannot read them; so is a skippable frame.
    state.ended = 0
    if decoder.source_size < LZ4_LINKED_BLOCKS_HEADER or memcmp(decoder.source, LZ4_MAGIC, 4) != 0 \
            or not decoder.source[4] & LZ4_INDEPENDENT:
        state.ended = -1
    return 0


cdef int64_t read_lz4(Decoder *decoder, uint8_t *out, int64_t capacity) noexcept nogil:
    cdef Lz4State *state = <Lz4State *>decoder.state
    cdef size_t produced, used, hint
    if state.ended:
        return -1 if state.ended < 0 else 0     # one frame; what follows it is ignored, as in Java
    while True:
        produced = <size_t>capacity
        used = <size_t>decoder.source_size
        hint = LZ4F_decompress(state.context, out, &produced, decoder.source, &used, NULL)
        if LZ4F_isError(hint):
            return -1
        consume(decoder, <int64_t>used)
        if hint == 0:
            state.ended = 1
            return <int64_t>produced
        if produced > 0:
            return <int64_t>produced
        if used == 0:
            return -1           # the input ended inside the frame


cdef int open_zstd(Decoder *decoder) noexcept nogil:
    cdef ZstdState *state = <ZstdState *>new_state(decoder, sizeof(ZstdState))
    if state == NULL:
        return -2
    state.context = ZSTD_createDCtx()
    if state.context == NULL:
        free(state)
        decoder.state = NULL
        return -2
    return 0


cdef int64_t read_zstd(Decoder *decoder, uint8_t *out, int64_t capacity) noexcept nogil:
    cdef ZstdState *state = <ZstdState *>decoder.state
    cdef ZSTD_inBuffer source
    cdef ZSTD_outBuffer target
    cdef size_t hint
    while True:
        if decoder.source_size == 0 and not state.inside:
            return 0
        source.src = decoder.source
        source.size = <size_t>decoder.source_size
        source.pos = 0
        target.dst = out
        target.size = <size_t>capacity
        target.pos = 0
        hint = ZSTD_decompressStream(state.context, &target, &source)
        if ZSTD_isError(hint):
            return -1
        consume(decoder, <int64_t>source.pos)
        state.inside = hint != 0
        if target.pos > 0:
            return <int64_t>target.pos
        if source.pos == 0 and state.inside:
            return -1           # the input ended inside a frame


# ---- compressing


cdef int64_t codec_bound(int codec, int64_t size) noexcept nogil:
    cdef int64_t blocks
    if size < 0 or size > COMPRESS_MAX:
        return -1
    if codec == CODEC_NONE:
        return size
    if codec == CODEC_GZIP:
        return <int64_t>compressBound(<unsigned long>size) + 32
    if codec == CODEC_SNAPPY:
        blocks = size // XERIAL_BLOCK + 1
        return XERIAL_HEADER + blocks * (4 + <int64_t>snappy_max_compressed_length(XERIAL_BLOCK))
    if codec == CODEC_LZ4:
        return <int64_t>LZ4F_compressFrameBound(<size_t>size, NULL) + 64
    if codec == CODEC_ZSTD:
        return <int64_t>ZSTD_compressBound(<size_t>size)
    return -1


cdef int64_t codec_compress(int codec, const uint8_t *source, int64_t size, uint8_t *out,
                            int64_t capacity, int level) noexcept nogil:
    cdef LZ4F_preferences_t preferences
    cdef size_t written
    if codec_bound(codec, size) < 0 or capacity < codec_bound(codec, size):
        return -1
    if codec == CODEC_GZIP:
        return compress_gzip(source, size, out, capacity, level)
    if codec == CODEC_SNAPPY:
        return compress_snappy(source, size, out)
    if codec == CODEC_LZ4:
        memset(&preferences, 0, sizeof(preferences))
        preferences.frameInfo.blockSizeID = LZ4F_max64KB
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        if level != COMPRESSION_DEFAULT_LEVEL:
            preferences.compressionLevel = level
        written = LZ4F_compressFrame(out, <size_t>capacity, source, <size_t>size, &preferences)
        return -1 if LZ4F_isError(written) else <int64_t>written
    if codec == CODEC_ZSTD:
        if level == COMPRESSION_DEFAULT_LEVEL:
            level = ZSTD_CLEVEL_DEFAULT
        written = ZSTD_compress(out, <size_t>capacity, source, <size_t>size, level)
        return -1 if ZSTD_isError(written) else <int64_t>written
    memcpy(out, source, <size_t>size)
    return size


cdef int64_t compress_gzip(const uint8_t *source, int64_t size, uint8_t *out, int64_t capacity,
                           int level) noexcept nogil:
    cdef z_stream stream
    cdef int result
    memset(&stream, 0, sizeof(stream))
    if level == COMPRESSION_DEFAULT_LEVEL:
        level = Z_DEFAULT_COMPRESSION
    if deflateInit2(&stream, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK:
        return -1
    stream.next_in = <unsigned char *>source
    stream.avail_in = <unsigned int>size
    stream.next_out = out
    stream.avail_out = <unsigned int>min(capacity, <int64_t>0x7fffffff)
    result = deflate(&stream, Z_FINISH)
    capacity = stream.next_out - out
    deflateEnd(&stream)
    return capacity if result == Z_STREAM_END else -1


cdef int64_t compress_snappy(const uint8_t *source, int64_t size, uint8_t *out) noexcept nogil:
    cdef uint8_t *at = out
    cdef int64_t step
    cdef size_t written
    memcpy(at, XERIAL_MAGIC, 8)
    put32(at + 8, 1)
    put32(at + 12, 1)
    at += XERIAL_HEADER
    while size > 0:
        step = min(size, <int64_t>XERIAL_BLOCK)
        written = snappy_max_compressed_length(XERIAL_BLOCK)
        if snappy_compress(<const char *>source, <size_t>step, <char *>(at + 4),
                           &written) != SNAPPY_OK:
            return -1
        put32(at, <int32_t>written)
        at += 4 + written
        source += step
        size -= step
    return at - out


# ---- the Python edge

NAMES = ("none", "gzip", "snappy", "lz4", "zstd")


cdef int codec_number(codec) except -1:
    if isinstance(codec, str):
        if codec not in NAMES:
            raise ValueError(f"unknown codec {codec!r}")
        return NAMES.index(codec)
    if not 0 <= codec < CODEC_COUNT:
        raise ValueError(f"unknown codec {codec!r}")
    return codec


def compress(codec, data, *, level=None, bint raw=False) -> bytes:
    """Compresses a bytes-like object; `codec` is a name or Kafka's number of it.

    `raw` writes snappy as one bare block, as librdkafka does, in place of xerial framing.
    ValueError: unknown codec, or an input of about 2 GiB or more.
    """
    cdef int number = codec_number(codec)
    cdef int strength = COMPRESSION_DEFAULT_LEVEL if level is None else level
    cdef Py_buffer view
    cdef int64_t room, written
    cdef size_t raw_size
    cdef uint8_t *out
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        room = codec_bound(number, view.len)
        if room < 0:
            raise ValueError("too large to compress at once")
        if raw:
            room = <int64_t>snappy_max_compressed_length(<size_t>view.len)
        out = <uint8_t *>malloc(<size_t>room + 1)
        if out == NULL:
            raise MemoryError
        with nogil:
            if raw and number == CODEC_SNAPPY:
                raw_size = <size_t>room
                snappy_compress(<const char *>view.buf, <size_t>view.len, <char *>out, &raw_size)
                written = <int64_t>raw_size
            else:
                written = codec_compress(number, <const uint8_t *>view.buf, view.len, out, room,
                                         strength)
        try:
            if written < 0:
                raise ValueError("the codec refused this input or level")
            return PyBytes_FromStringAndSize(<char *>out, written)
        finally:
            free(out)
    finally:
        PyBuffer_Release(&view)


def decompress(codec, data, int64_t limit=1 << 30) -> bytes:
    """Decompresses a bytes-like object. ValueError: corrupt, or more than `limit` bytes of it."""
    cdef int number = codec_number(codec)
    cdef Py_buffer view
    cdef Decoder decoder
    cdef uint8_t *out = NULL
    cdef uint8_t *grown
    cdef int64_t size = 0, capacity = 0, got = 0
    if limit < 0:
        raise ValueError("a negative limit")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if decoder_open(&decoder, number, <const uint8_t *>view.buf, view.len, limit) != 0:
            raise MemoryError
        with nogil:
            while True:
                if size == capacity:
                    capacity = 2 * capacity if capacity else 4096
                    grown = <uint8_t *>realloc(out, <size_t>capacity)
                    if grown == NULL:
                        got = -2
                        break
                    out = grown
                got = decoder_read(&decoder, out + size, capacity - size)
                if got <= 0:
                    break
                size += got
        decoder_close(&decoder)
        if got == -2:
            raise MemoryError
        if got < 0:
            raise ValueError(f"corrupt {NAMES[number]} data, or more than {limit} bytes of it")
        return PyBytes_FromStringAndSize(<char *>out, size)
    finally:
        free(out)
        PyBuffer_Release(&view)

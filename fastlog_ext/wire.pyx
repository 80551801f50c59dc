"""Reading requests. Sources: the protocol guide, KIP-482 for the flexible encoding."""
from libc.stdint cimport int16_t, int32_t, uint32_t
from fastlog_ext.cursor cimport (
    Cursor, cursor_fail, cursor_get16, cursor_get32, cursor_get_uvarint, cursor_left, cursor_skip,
    cursor_take)


cdef void skip_tags(Cursor *cursor) noexcept nogil:
    cdef uint32_t left = cursor_get_uvarint(cursor)
    if left > TAGS_MOST:
        cursor_fail(cursor)
    while left and not cursor.failed:
        cursor_get_uvarint(cursor)
        cursor_skip(cursor, cursor_get_uvarint(cursor))
        left -= 1


cdef void read_head(Cursor *cursor, int16_t flexible_from, RequestHead *head) noexcept nogil:
    cdef int16_t size
    head.api_key = cursor_get16(cursor)
    head.version = cursor_get16(cursor)
    head.correlation_id = cursor_get32(cursor)
    head.flexible = head.version >= flexible_from
    size = cursor_get16(cursor)         # the client's id is never compact
    if size < -1:
        cursor_fail(cursor)
    elif size > 0:
        cursor_skip(cursor, size)
    if head.flexible:
        skip_tags(cursor)


cdef int32_t read_length(Cursor *cursor, int flexible) noexcept nogil:
    cdef int32_t size
    if flexible:
        size = <int32_t>(cursor_get_uvarint(cursor) - 1)
    else:
        size = cursor_get32(cursor)
    if cursor.failed or size < -1 or size > cursor_left(cursor):
        cursor_fail(cursor)
        return -1
    return size


cdef void read_text(Cursor *cursor, int flexible, Text *out) noexcept nogil:
    cdef int32_t size
    if flexible:
        size = read_length(cursor, 1)
    else:
        size = cursor_get16(cursor)
    out.data = NULL
    out.size = 0
    if size > 32767 or size < -1:
        cursor_fail(cursor)
    elif size >= 0:
        out.data = cursor_take(cursor, size)
        out.size = size if out.data != NULL else 0


cdef int32_t read_count(Cursor *cursor, int flexible, int32_t least) noexcept nogil:
    cdef int32_t size = read_length(cursor, flexible)
    if size < 0 or size > cursor_left(cursor) // least:
        cursor_fail(cursor)
        return -1
    return size

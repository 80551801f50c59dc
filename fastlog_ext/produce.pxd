# Produce, versions 3 to 13.
from libc.stdint cimport int64_t, uint8_t
from fastlog_ext.buffers cimport Buffer
from fastlog_ext.plane cimport Connection, Reactor

# `frame` lies in `buffer`, which is retained while its batches are needed. NULL, or why the frame
# is malformed (nothing has been appended then, and the connection is the caller's to close).
cdef const char *produce_start(Connection *connection, Buffer *buffer, uint8_t *frame,
                               int64_t size) noexcept nogil
# Writes what was submitted since the last time, and answers what can be answered.
cdef void produce_flush(Reactor *reactor) noexcept nogil
cdef void produce_destroy(Reactor *reactor) noexcept nogil      # the free list

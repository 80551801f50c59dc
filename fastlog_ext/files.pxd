# Whole reads and writes of files, and what of the file system only the log storage needs.
from libc.stdint cimport int32_t, int64_t, uint8_t
from fastlog_ext.system cimport iovec, off_t

cdef extern from "<fcntl.h>" nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <fcntl.h>
    #ifndef FALLOC_FL_KEEP_SIZE
    #define FALLOC_FL_KEEP_SIZE 1
    #endif
    extern int fallocate(int, int, off_t, off_t);
    extern ssize_t copy_file_range(int, off_t *, int, off_t *, size_t, unsigned int);
    """
    int fallocate(int fd, int mode, off_t offset, off_t length) noexcept
    Py_ssize_t copy_file_range(int source, off_t *source_offset, int target, off_t *target_offset,
                               size_t length, unsigned int flags) noexcept
    enum: FALLOC_FL_KEEP_SIZE

# While it is on, a read_at of this thread that would wait for the disk fails with EAGAIN instead;
# off tells whether one did. For threads that must not wait.
cdef void cache_only_on() noexcept nogil
cdef int cache_only_off() noexcept nogil
cdef int cache_only_refused() noexcept nogil
# For what is no read but would wait as well: 1 while it is on, which counts as one that failed.
cdef int cache_only_refuses() noexcept nogil
# Whether a range is in the page cache, as far as a byte in each 128 KiB tells.
cdef int is_cached(int fd, int64_t position, int64_t size) noexcept nogil
# Whether the error is that there is no room: the one failure that passes by itself.
cdef int disk_is_full(int error) noexcept nogil
# Each returns 0 or errno, unless it says otherwise; interrupted and short calls are continued.
# bytes read, or -1
cdef int64_t read_at(int fd, void *out, int64_t size, int64_t position) noexcept nogil
cdef int write_at(int fd, const void *data, int64_t size, int64_t position) noexcept nogil
# Consumes the vectors (they are changed on a short write).
cdef int write_vectors_at(int fd, iovec *vectors, int count, int64_t position) noexcept nogil
cdef int64_t file_size(int fd) noexcept nogil                                            # or -1
cdef int truncate_to(int fd, int64_t size) noexcept nogil
cdef int copy_prefix(int source, int target, int64_t size) noexcept nogil
cdef int sync_file(int fd) noexcept nogil
cdef int sync_folder(const char *path) noexcept nogil
# fd, or -errno
cdef int open_file(const char *prefix, const char *suffix, int flags) noexcept nogil

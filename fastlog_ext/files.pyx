"""Whole reads and writes of files: interrupted and short system calls are continued, errors are
errno."""
from libc.stdint cimport int64_t, uint8_t
from fastlog_ext.system cimport (
    EAGAIN, EDQUOT, EINTR, EIO, ENOSPC, O_CLOEXEC, O_DIRECTORY, O_RDONLY, close, fstat, fsync,
    ftruncate, last_errno, open, pread, pwrite, pwritev, snprintf, ssize_t, stat_t)

cdef enum:
    PATH_LIMIT = 4200
    COPY_STEP = 65536
    PROBE_STEP = 131072         # what the kernel reads ahead by itself

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <sys/uio.h>
    #include <unistd.h>
    #ifndef RWF_NOWAIT
    #define RWF_NOWAIT 8
    #endif
    #ifndef SYS_cachestat
    #define SYS_cachestat 451
    #endif
    extern ssize_t preadv2(int, const struct iovec *, int, off_t, int);
    static __thread int fl_cache_only;      /* 2: a read has been refused */
    /* Are all pages there, perhaps still being read? Linux 6.5; -1 where nobody can tell. */
    static int fl_all_cached(int fd, long long offset, long long size) {
        unsigned long long range[2] = {(unsigned long long)offset, (unsigned long long)size};
        unsigned long long found[5] = {0};
        long long first = offset & ~4095LL, end = (offset + size + 4095) & ~4095LL;
        if (syscall(SYS_cachestat, fd, range, found, 0) != 0) return -1;
        return found[0] >= (unsigned long long)(end - first) / 4096; }
    /* Are they, and none of them still being read? To read one that is would wait. */
    static int fl_all_read(int fd, long long offset, long long size) {
        long long page = sysconf(_SC_PAGESIZE), first = offset & -page;
        long long end = (offset + size + page - 1) & -page, number;
        unsigned char there[64];
        int cached = fl_all_cached(fd, offset, size), failed;
        if (cached <= 0) return cached != 0;
        if ((end - first) / page > (long long)sizeof there) return 0;
        void *mapped = mmap(NULL, end - first, PROT_READ, MAP_SHARED, fd, first);
        if (mapped == MAP_FAILED) return 1;
        failed = mincore(mapped, end - first, there);
        munmap(mapped, end - first);
        for (number = 0; !failed && number < (end - first) / page; number++)
            if (!(there[number] & 1)) return 0;
        return 1; }
    /* As pread, or EAGAIN where it would wait. tmpfs and some others know no RWF_NOWAIT. */
    static ssize_t fl_pread_cached(int fd, void *out, size_t size, off_t offset) {
        struct iovec vector = {out, size};
        ssize_t got = preadv2(fd, &vector, 1, offset, RWF_NOWAIT);
        if (got >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return got;
        if (fl_all_read(fd, offset, (long long)size)) return pread(fd, out, size, offset);
        errno = EAGAIN;
        return -1; }
    static ssize_t fl_pread(int fd, void *out, size_t size, off_t offset) {
        ssize_t got;
        if (__builtin_expect(!fl_cache_only, 1)) return pread(fd, out, size, offset);
        got = fl_pread_cached(fd, out, size, offset);
        if (got < 0 && errno == EAGAIN) fl_cache_only = 2;
        return got; }
    """
    int thread_cache_only "fl_cache_only"
    ssize_t pread_cached "fl_pread_cached"(int fd, void *out, size_t size, off_t at) noexcept
    int all_cached "fl_all_cached"(int fd, int64_t at, int64_t size) noexcept
    ssize_t pread_as_allowed "fl_pread"(int fd, void *out, size_t size, off_t at) noexcept


cdef void cache_only_on() noexcept nogil:
    global thread_cache_only
    thread_cache_only = 1


cdef int cache_only_off() noexcept nogil:
    global thread_cache_only
    cdef int refused = thread_cache_only == 2
    thread_cache_only = 0
    return refused


cdef int cache_only_refused() noexcept nogil:
    return thread_cache_only == 2


cdef int cache_only_refuses() noexcept nogil:
    global thread_cache_only
    if thread_cache_only == 0:
        return 0
    thread_cache_only = 2
    return 1


cdef int is_cached(int fd, int64_t position, int64_t size) noexcept nogil:
    """A byte tells of what the kernel read with it. One call tells that all pages of a long range
    are there, at a tenth of the cost; that its two ends have been read tells of what is between."""
    cdef uint8_t byte
    cdef int64_t end = position + size
    cdef int64_t step = PROBE_STEP
    cdef int known
    if size > 2 * PROBE_STEP:
        known = all_cached(fd, position, size)
        if known == 0:
            return 0
        if known > 0:
            step = size
    while position < end:
        if pread_cached(fd, &byte, 1, position) < 0 and last_errno() == EAGAIN:
            return 0
        position = min(position + step, max(end - 1, position + 1))
    return 1


cdef int disk_is_full(int error) noexcept nogil:
    return error == ENOSPC or error == EDQUOT


cdef int64_t read_at(int fd, void *out, int64_t size, int64_t position) noexcept nogil:
    cdef int64_t total = 0
    cdef ssize_t got
    while total < size:
        got = pread_as_allowed(fd, <uint8_t *>out + total, size - total, position + total)
        if got == 0:
            break
        if got < 0:
            if last_errno() == EINTR:
                continue
            return -1
        total += got
    return total


cdef int write_at(int fd, const void *data, int64_t size, int64_t position) noexcept nogil:
    cdef iovec vector
    vector.iov_base = <void *>data
    vector.iov_len = size
    return write_vectors_at(fd, &vector, 1, position)


cdef int write_vectors_at(int fd, iovec *vectors, int count, int64_t position) noexcept nogil:
    cdef ssize_t put
    cdef int error
    while count > 0:
        put = pwritev(fd, vectors, count, position)
        if put < 0:
            error = last_errno()
            if error == EINTR:
                continue
            return error
        if put == 0 and vectors[0].iov_len > 0:
            return EIO
        position += put
        while count > 0 and <size_t>put >= vectors[0].iov_len:
            put -= vectors[0].iov_len
            vectors += 1
            count -= 1
        if count > 0:
            vectors[0].iov_base = <uint8_t *>vectors[0].iov_base + put
            vectors[0].iov_len -= put
    return 0


cdef int64_t file_size(int fd) noexcept nogil:
    cdef stat_t status
    if fstat(fd, &status) != 0:
        return -1
    return status.st_size


cdef int truncate_to(int fd, int64_t size) noexcept nogil:
    while ftruncate(fd, size) != 0:
        if last_errno() != EINTR:
            return last_errno()
    return 0


cdef int copy_prefix(int source, int target, int64_t size) noexcept nogil:
    """Copies the first `size` bytes; shares extents where the file system can."""
    cdef int64_t position = 0
    cdef off_t from_offset, to_offset
    cdef int64_t step
    cdef uint8_t buffer[COPY_STEP]
    cdef int error
    while position < size:
        from_offset = position
        to_offset = position
        step = copy_file_range(source, &from_offset, target, &to_offset, size - position, 0)
        if step > 0:
            position += step
            continue
        step = read_at(source, buffer, min(<int64_t>COPY_STEP, size - position), position)
        if step <= 0:
            return EIO if step == 0 else last_errno()
        error = write_at(target, buffer, step, position)
        if error:
            return error
        position += step
    return 0


cdef int sync_file(int fd) noexcept nogil:
    while fsync(fd) != 0:
        if last_errno() != EINTR:
            return last_errno()
    return 0


cdef int sync_folder(const char *path) noexcept nogil:
    cdef int error
    cdef int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if fd < 0:
        return last_errno()
    error = sync_file(fd)
    close(fd)
    return error


cdef int open_file(const char *prefix, const char *suffix, int flags) noexcept nogil:
    cdef char path[PATH_LIMIT]
    cdef int fd
    snprintf(path, PATH_LIMIT, b"%s%s", prefix, suffix)
    while True:
        fd = open(path, flags | O_CLOEXEC, 0o644)
        if fd >= 0:
            return fd
        if last_errno() != EINTR:
            return -last_errno()

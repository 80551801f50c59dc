# cython: language_level=3
# Every C declaration of the system that the data plane uses, in one place.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stddef cimport size_t

# Atomics are the compiler's builtins on plain integers and pointers, so that every hot structure
# stays a C struct (docs/decisions/0001). The names say the ordering.
cdef extern from * nogil:
    """
    #ifndef FASTLOG_ATOMICS
    #define FASTLOG_ATOMICS
    #include <stdint.h>
    #define fl_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    #define fl_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define fl_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define fl_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
    #define fl_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define fl_store_seq(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
    #define fl_add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
    #define fl_add_relaxed(p, v) __atomic_add_fetch((p), (v), __ATOMIC_RELAXED)
    #define fl_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
    static inline int fl_cas_i32(int32_t *p, int32_t old, int32_t want) {
        return __atomic_compare_exchange_n(p, &old, want, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); }
    static inline int fl_cas_i64(int64_t *p, int64_t old, int64_t want) {
        return __atomic_compare_exchange_n(p, &old, want, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); }
    static inline int fl_cas_ptr(void **p, void *old, void *want) {
        return __atomic_compare_exchange_n(p, &old, want, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); }
    static inline void *fl_load_ptr(void **p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void fl_store_ptr(void **p, void *v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline void *fl_exchange_ptr(void **p, void *v) {
        return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
    #define fl_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
    #define fl_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
    #define fl_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
    #endif
    """
    # generic over the width of the integer pointed to; cast pointers through void* variants below
    int32_t load32_relaxed "fl_load_relaxed"(int32_t *p) noexcept
    int32_t load32 "fl_load_acquire"(int32_t *p) noexcept
    int32_t load32_seq "fl_load_seq"(int32_t *p) noexcept
    void store32_relaxed "fl_store_relaxed"(int32_t *p, int32_t v) noexcept
    void store32 "fl_store_release"(int32_t *p, int32_t v) noexcept
    void store32_seq "fl_store_seq"(int32_t *p, int32_t v) noexcept
    int32_t add32 "fl_add"(int32_t *p, int32_t v) noexcept
    int32_t exchange32 "fl_exchange"(int32_t *p, int32_t v) noexcept
    int cas32 "fl_cas_i32"(int32_t *p, int32_t old, int32_t want) noexcept
    int64_t load64_relaxed "fl_load_relaxed"(int64_t *p) noexcept
    int64_t load64 "fl_load_acquire"(int64_t *p) noexcept
    int64_t load64_seq "fl_load_seq"(int64_t *p) noexcept
    void store64_relaxed "fl_store_relaxed"(int64_t *p, int64_t v) noexcept
    void store64 "fl_store_release"(int64_t *p, int64_t v) noexcept
    void store64_seq "fl_store_seq"(int64_t *p, int64_t v) noexcept
    int64_t add64 "fl_add"(int64_t *p, int64_t v) noexcept
    int64_t add64_relaxed "fl_add_relaxed"(int64_t *p, int64_t v) noexcept
    int64_t exchange64 "fl_exchange"(int64_t *p, int64_t v) noexcept
    int cas64 "fl_cas_i64"(int64_t *p, int64_t old, int64_t want) noexcept
    void *load_ptr "fl_load_ptr"(void **p) noexcept
    void store_ptr "fl_store_ptr"(void **p, void *v) noexcept
    void *exchange_ptr "fl_exchange_ptr"(void **p, void *v) noexcept
    int cas_ptr "fl_cas_ptr"(void **p, void *old, void *want) noexcept
    void fence_seq "fl_fence"() noexcept
    void fence_acquire "fl_fence_acquire"() noexcept
    void fence_release "fl_fence_release"() noexcept

# Static, so that each module that cimports this file has it with no call through a pointer.
cdef extern from * nogil:
    """
    #ifndef FASTLOG_CLOCK
    #define FASTLOG_CLOCK
    #include <time.h>
    #include <errno.h>
    static inline int64_t fl_clock_ms(int clock) {
        struct timespec t; clock_gettime(clock, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000; }
    static inline int64_t fl_clock_ns(int clock) {
        struct timespec t; clock_gettime(clock, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec; }
    #define fl_wall_ms() fl_clock_ms(CLOCK_REALTIME)
    #define fl_monotonic_ms() fl_clock_ms(CLOCK_MONOTONIC)
    #define fl_monotonic_ns() fl_clock_ns(CLOCK_MONOTONIC)
    #define fl_errno() (errno)
    #endif
    """
    int64_t wall_clock_ms "fl_wall_ms"() noexcept
    int64_t monotonic_ms "fl_monotonic_ms"() noexcept
    int64_t monotonic_ns "fl_monotonic_ns"() noexcept
    int last_errno "fl_errno"() noexcept

cdef extern from "<errno.h>" nogil:
    enum: EINTR, EAGAIN, EWOULDBLOCK, ENOSPC, EIO, ENOENT, EEXIST, EINVAL, ENOMEM, EPIPE, E2BIG
    enum: ECONNABORTED, ECONNRESET, EMFILE, ENFILE, EDQUOT, EROFS, ESHUTDOWN

cdef extern from "<sys/types.h>" nogil:
    ctypedef long off_t
    ctypedef long ssize_t
    ctypedef int mode_t

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t pwritev(int fd, const iovec *iov, int count, off_t offset) noexcept
    ssize_t writev(int fd, const iovec *iov, int count) noexcept

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void *buf, size_t count) noexcept
    ssize_t write(int fd, const void *buf, size_t count) noexcept
    ssize_t pread(int fd, void *buf, size_t count, off_t offset) noexcept
    ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset) noexcept
    int close(int fd) noexcept
    int dup(int fd) noexcept
    int ftruncate(int fd, off_t length) noexcept
    int fsync(int fd) noexcept
    int fdatasync(int fd) noexcept
    int unlink(const char *path) noexcept
    off_t lseek(int fd, off_t offset, int whence) noexcept
    int getpid() noexcept
    enum: SEEK_SET, SEEK_END

cdef extern from "<stdio.h>" nogil:
    int rename(const char *old, const char *new) noexcept
    int snprintf(char *out, size_t size, const char *format, ...) noexcept

cdef extern from "<fcntl.h>" nogil:
    int open(const char *path, int flags, ...) noexcept
    int posix_fadvise(int fd, off_t offset, off_t length, int advice) noexcept
    enum: POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED
    enum: O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_EXCL, O_APPEND, O_CLOEXEC, O_DIRECTORY
    enum: O_NONBLOCK

cdef extern from "<sys/stat.h>" nogil:
    struct stat_t "stat":
        off_t st_size
        mode_t st_mode
    int fstat(int fd, stat_t *out) noexcept
    int stat_path "stat"(const char *path, stat_t *out) noexcept
    int mkdir(const char *path, mode_t mode) noexcept

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd,
               off_t offset) noexcept
    int munmap(void *address, size_t length) noexcept
    enum: PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE
    void *MAP_FAILED

cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void *data, size_t size, unsigned int flags)

cdef extern from "<sys/sendfile.h>" nogil:
    ssize_t sendfile(int out, int source, off_t *offset, size_t count) noexcept

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_attr_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes) noexcept
    int pthread_mutex_destroy(pthread_mutex_t *mutex) noexcept
    int pthread_mutex_lock(pthread_mutex_t *mutex) noexcept
    int pthread_mutex_trylock(pthread_mutex_t *mutex) noexcept
    int pthread_mutex_unlock(pthread_mutex_t *mutex) noexcept
    int pthread_cond_init(pthread_cond_t *condition, const void *attributes) noexcept
    int pthread_cond_destroy(pthread_cond_t *condition) noexcept
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) noexcept
    int pthread_cond_signal(pthread_cond_t *condition) noexcept
    int pthread_cond_broadcast(pthread_cond_t *condition) noexcept
    int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                       void *(*start)(void *) noexcept nogil, void *argument) noexcept
    int pthread_join(pthread_t thread, void **result) noexcept

cdef extern from "<sched.h>" nogil:
    int sched_yield() noexcept

# What the network half needs of the system beyond system.pxd: sockets, epoll, eventfd, signals.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stddef cimport size_t
from fastlog_ext.system cimport iovec, pthread_t, ssize_t

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    ssize_t recv(int fd, void *buf, size_t size, int flags) noexcept
    ssize_t sendmsg(int fd, const msghdr *message, int flags) noexcept
    int getpeername(int fd, sockaddr *address, socklen_t *size) noexcept
    int getsockname(int fd, sockaddr *address, socklen_t *size) noexcept
    int setsockopt(int fd, int level, int name, const void *value, socklen_t size) noexcept
    enum: AF_INET, AF_INET6, MSG_NOSIGNAL, MSG_MORE, MSG_DONTWAIT, SOCK_NONBLOCK, SOCK_CLOEXEC

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <arpa/inet.h>
    #include <errno.h>
    #include <pthread.h>
    #include <signal.h>
    #include <string.h>
    #include <sys/resource.h>
    #include <time.h>
    #ifndef FASTLOG_SOCKETS
    #define FASTLOG_SOCKETS
    static inline int fl_accept(int fd) {
        return accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }
    static inline void fl_no_delay(int fd) {
        int one = 1; setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); }
    /* host text and port of an address; port -1 when the family has none */
    static inline int fl_address(const struct sockaddr_storage *a, char *out, unsigned size) {
        out[0] = 0;
        if (a->ss_family == AF_INET) {
            const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
            inet_ntop(AF_INET, &v4->sin_addr, out, size); return ntohs(v4->sin_port); }
        if (a->ss_family == AF_INET6) {
            const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
            inet_ntop(AF_INET6, &v6->sin6_addr, out, size); return ntohs(v6->sin6_port); }
        return -1; }
    /* 16 bytes that tell one address from another; IPv4 as IPv6 maps it */
    static inline void fl_address_key(const struct sockaddr_storage *a, unsigned char *out) {
        memset(out, 0, 16);
        if (a->ss_family == AF_INET6) {
            memcpy(out, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
        } else if (a->ss_family == AF_INET) {
            out[10] = out[11] = 0xff;
            memcpy(out + 12, &((const struct sockaddr_in *)a)->sin_addr, 4); } }
    static inline int fl_parse_address(const char *text, struct sockaddr_storage *out) {
        memset(out, 0, sizeof *out);
        if (inet_pton(AF_INET, text, &((struct sockaddr_in *)out)->sin_addr) == 1) {
            out->ss_family = AF_INET; return 1; }
        if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)out)->sin6_addr) == 1) {
            out->ss_family = AF_INET6; return 1; }
        return 0; }
    /* how many more files may be opened, given the lowest free descriptor or one above it */
    static inline long fl_descriptors_above(int fd) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 0x7fffffff) return 0x7fffffff;
        return (long)limit.rlim_cur - fd; }
    /* A thread with every signal blocked: handlers stay with the interpreter's own threads. Its
       stack has room for our pieces of files on every libc: musl gives 128 KiB unless asked. */
    static inline int fl_thread(pthread_t *thread, void *(*start)(void *), void *argument) {
        sigset_t all, old; pthread_attr_t attributes;
        int result = pthread_attr_init(&attributes);
        if (result) return result;
        pthread_attr_setstacksize(&attributes, 1 << 20);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        result = pthread_create(thread, &attributes, start, argument);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attributes);
        return result; }
    static inline int fl_join_within(pthread_t thread, long seconds) {
        struct timespec t; clock_gettime(CLOCK_REALTIME, &t); t.tv_sec += seconds;
        return pthread_timedjoin_np(thread, NULL, &t); }
    #endif
    """
    int accept_connection "fl_accept"(int fd) noexcept
    void set_no_delay "fl_no_delay"(int fd) noexcept
    int address_text "fl_address"(const sockaddr_storage *address, char *out,
                                  unsigned size) noexcept
    void address_key "fl_address_key"(const sockaddr_storage *address, uint8_t *out) noexcept
    # 1, or 0: not a numeric address
    int parse_address "fl_parse_address"(const char *text, sockaddr_storage *out) noexcept
    long descriptors_above "fl_descriptors_above"(int fd) noexcept
    int start_thread "fl_thread"(pthread_t *thread, void *(*start)(void *) noexcept nogil,
                                 void *argument) noexcept
    int join_within "fl_join_within"(pthread_t thread, long seconds) noexcept

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags) noexcept
    int epoll_ctl(int epfd, int operation, int fd, epoll_event *event) noexcept
    int epoll_wait(int epfd, epoll_event *events, int count, int timeout) noexcept
    enum: EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD
    enum: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP, EPOLLET

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int initial, int flags) noexcept
    enum: EFD_CLOEXEC, EFD_NONBLOCK

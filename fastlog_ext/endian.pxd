from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
# Big-endian loads and stores at any alignment.
cdef extern from * nogil:
    """
    #ifndef FASTLOG_ENDIAN
    #define FASTLOG_ENDIAN
    #include <stdint.h>
    #include <string.h>
    #include <endian.h>
    static inline int16_t fl_get16(const void *p)
    {
        uint16_t v;
        memcpy(&v, p, 2);
        return (int16_t)be16toh(v);
    }
    static inline int32_t fl_get32(const void *p)
    {
        uint32_t v;
        memcpy(&v, p, 4);
        return (int32_t)be32toh(v);
    }
    static inline int64_t fl_get64(const void *p)
    {
        uint64_t v;
        memcpy(&v, p, 8);
        return (int64_t)be64toh(v);
    }
    static inline void fl_put16(void *p, int16_t v)
    {
        uint16_t x = htobe16((uint16_t)v);
        memcpy(p, &x, 2);
    }
    static inline void fl_put32(void *p, int32_t v)
    {
        uint32_t x = htobe32((uint32_t)v);
        memcpy(p, &x, 4);
    }
    static inline void fl_put64(void *p, int64_t v)
    {
        uint64_t x = htobe64((uint64_t)v);
        memcpy(p, &x, 8);
    }
    #endif
    """
    int16_t get16 "fl_get16"(const void *p) noexcept
    int32_t get32 "fl_get32"(const void *p) noexcept
    int64_t get64 "fl_get64"(const void *p) noexcept
    void put16 "fl_put16"(void *p, int16_t v) noexcept
    void put32 "fl_put32"(void *p, int32_t v) noexcept
    void put64 "fl_put64"(void *p, int64_t v) noexcept

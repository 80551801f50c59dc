/* CRC-32C by the processor's instruction, unfinished (start with ~0, invert at the end). */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__aarch64__)
#include <arm_acle.h>
#define CRC8 __crc32cd
#define CRC1 __crc32cb
#else
#include <nmmintrin.h>
#define CRC8 _mm_crc32_u64
#define CRC1 _mm_crc32_u8
#endif

static inline uint32_t crc32c(uint32_t crc, const unsigned char *p, size_t n) {
    uint64_t c = crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        c = CRC8(c, v);
    }
    while (n--)
        c = CRC1(c, *p++);
    return c;
}

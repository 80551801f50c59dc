#include "crc32c_impl.h"
#include <string.h>

/* Castagnoli's polynomial, bit-reversed: in every value here bit 31 is the coefficient of x^0. */
#define POLYNOMIAL 0x82f63b78u

/* The instruction has a latency of three cycles and a throughput of one: three independent streams
 * keep it busy. Each pass covers three neighbouring blocks and joins their sums by the tables. */
#define LONG_BLOCK 4096
#define SHORT_BLOCK 256

typedef uint32_t (*crc_function)(uint32_t, const uint8_t *, size_t);

static uint32_t slices[8][256];
static uint32_t over_long[4][256];  /* advances a sum over LONG_BLOCK zero bytes */
static uint32_t over_short[4][256];
static crc_function best = fl_crc32c_portable;
static crc_function chosen = fl_crc32c_portable;
static const char *best_name = "portable";

static uint32_t times_x(uint32_t a) { return (a >> 1) ^ ((a & 1) ? POLYNOMIAL : 0); }

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = 0x80000000u; bit; bit >>= 1, b = times_x(b))
        if (a & bit)
            product ^= b;
    return product;
}

static void fill_advance(uint32_t table[4][256], size_t zeros)
{
    uint32_t power = 0x80000000u; /* 1, then x^(8 zeros) */
    for (size_t i = 0; i < 8 * zeros; i++)
        power = times_x(power);
    for (int lane = 0; lane < 4; lane++)
        for (uint32_t byte = 0; byte < 256; byte++)
            table[lane][byte] = multiply(power, byte << (8 * lane));
}

static void fill_slices(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = times_x(crc);
        slices[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int i = 1; i < 8; i++)
            slices[i][byte] = (slices[i - 1][byte] >> 8) ^ slices[0][slices[i - 1][byte] & 0xff];
}

uint32_t fl_crc32c_portable(uint32_t crc, const uint8_t *p, size_t size)
{
    crc = ~crc;
    for (; size >= 8; p += 8, size -= 8) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = slices[7][crc & 0xff] ^ slices[6][(crc >> 8) & 0xff] ^ slices[5][(crc >> 16) & 0xff]
            ^ slices[4][crc >> 24] ^ slices[3][p[4]] ^ slices[2][p[5]] ^ slices[1][p[6]]
            ^ slices[0][p[7]];
    }
    for (; size; p++, size--)
        crc = (crc >> 8) ^ slices[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HARDWARE_NAME "sse4.2"
#define HARDWARE_TARGET __attribute__((target("sse4.2")))
#define STEP8(crc, byte) ((uint32_t)_mm_crc32_u8((uint32_t)(crc), (byte)))
#define STEP64(crc, word) _mm_crc32_u64((crc), (word))
static int hardware_present(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <sys/auxv.h>
#define HARDWARE_NAME "armv8"
#define HARDWARE_TARGET __attribute__((target("+crc")))
#define STEP8(crc, byte) __builtin_aarch64_crc32cb((uint32_t)(crc), (byte))
#define STEP64(crc, word) __builtin_aarch64_crc32cx((uint32_t)(crc), (word))
#define CAPABILITY_CRC32 (1u << 7) /* HWCAP_CRC32 of <asm/hwcap.h> */
static int hardware_present(void) { return (getauxval(AT_HWCAP) & CAPABILITY_CRC32) != 0; }
#endif

#ifdef HARDWARE_NAME
static inline uint64_t load64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint32_t advance(uint32_t table[4][256], uint32_t crc)
{
    return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff]
        ^ table[3][crc >> 24];
}

/* Covers as many triples of blocks as there are; returns what follows them. */
HARDWARE_TARGET static inline const uint8_t *triples(uint64_t *crc, const uint8_t *p,
                                                     const uint8_t *end, ptrdiff_t block,
                                                     uint32_t table[4][256])
{
    uint64_t a = *crc, b, c;
    while (end - p >= 3 * block) {
        b = c = 0;
        for (const uint8_t *stop = p + block; p < stop; p += 8) {
            a = STEP64(a, load64(p));
            b = STEP64(b, load64(p + block));
            c = STEP64(c, load64(p + 2 * block));
        }
        a = advance(table, (uint32_t)a) ^ b;
        a = advance(table, (uint32_t)a) ^ c;
        p += 2 * block;
    }
    *crc = a;
    return p;
}

HARDWARE_TARGET static uint32_t hardware(uint32_t initial, const uint8_t *p, size_t size)
{
    uint64_t crc = (uint32_t)~initial;
    const uint8_t *end = p + size;
    for (; p < end && ((uintptr_t)p & 7); p++)
        crc = STEP8(crc, *p);
    p = triples(&crc, p, end, LONG_BLOCK, over_long);
    p = triples(&crc, p, end, SHORT_BLOCK, over_short);
    for (; end - p >= 8; p += 8)
        crc = STEP64(crc, load64(p));
    for (; p < end; p++)
        crc = STEP8(crc, *p);
    return ~(uint32_t)crc;
}
#endif

void fl_crc32c_setup(void)
{
    fill_slices();
#ifdef HARDWARE_NAME
    if (hardware_present()) {
        fill_advance(over_long, LONG_BLOCK);
        fill_advance(over_short, SHORT_BLOCK);
        best = hardware;
        best_name = HARDWARE_NAME;
    }
#endif
    chosen = best;
}

uint32_t fl_crc32c(uint32_t crc, const uint8_t *data, size_t size)
{
    return chosen(crc, data, size);
}

const char *fl_crc32c_name(void) { return chosen == fl_crc32c_portable ? "portable" : best_name; }

void fl_crc32c_force_portable(int force) { chosen = force ? fl_crc32c_portable : best; }

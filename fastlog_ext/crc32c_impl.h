/* CRC-32C by the processor's own instruction where there is one, by tables elsewhere. */
#ifndef FASTLOG_CRC32C_IMPL_H
#define FASTLOG_CRC32C_IMPL_H
#include <stddef.h>
#include <stdint.h>

/* Fills the tables and looks at the processor. Once, before any other call. */
void fl_crc32c_setup(void);
uint32_t fl_crc32c(uint32_t crc, const uint8_t *data, size_t size);
uint32_t fl_crc32c_portable(uint32_t crc, const uint8_t *data, size_t size);
/* "sse4.2", "armv8" or "portable" */
const char *fl_crc32c_name(void);
/* Tests: 1 takes the portable code from now on, 0 the best again. */
void fl_crc32c_force_portable(int force);

#endif

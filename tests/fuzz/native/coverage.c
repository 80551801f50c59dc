#include "coverage.h"

#include <stdint.h>
#include <string.h>

#define PLACES 65536 /* blocks share a place now and then; an input more or less is all it costs */

static uint8_t seen[PLACES];
static int counting;
static int fresh;

/* Called by every module of the build: this library must be loaded first, with global symbols. */
__attribute__((visibility("default"), no_sanitize_coverage, no_sanitize("address", "undefined")))
void __sanitizer_cov_trace_pc(void)
{
    uintptr_t at;
    if (!counting)
        return;
    at = (uintptr_t)__builtin_return_address(0);
    at = (at ^ (at >> 16)) % PLACES;
    if (!seen[at]) {
        seen[at] = 1;
        fresh++;
    }
}

void coverage_set(int on)
{
    counting = on;
}

int coverage_fresh(void)
{
    int count = fresh;
    fresh = 0;
    return count;
}

void coverage_forget(void)
{
    memset(seen, 0, sizeof seen);
    fresh = 0;
}

/* Preloaded into a counted process: how often other threads than the main one ask for memory.
 * glibc only: its own functions have these second names. */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static pthread_t main_thread;
static atomic_long counted;

__attribute__((constructor)) static void remember(void) {
    main_thread = pthread_self();
}

long benchmark_allocations(void) {
    return counted;
}

static void count(void) {
    if (!pthread_equal(pthread_self(), main_thread))
        counted++;
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count();
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    count();
    return (*out = __libc_memalign(alignment, size)) ? 0 : 12;
}

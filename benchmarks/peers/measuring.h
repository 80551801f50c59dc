/* What the load generators share: how they give up, clocks, and the broker's CPU time. */
#pragma once
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static int64_t nanoseconds_of(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t))
        die("clock: %s", strerror(errno));
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t now_ns(void) {
    return nanoseconds_of(CLOCK_MONOTONIC);
}

/* Seconds of user and system time of all of a process's threads (/proc has ticks of 10 ms); 0 for
 * no process. */
static double cpu_of(long pid) {
    clockid_t clock;
    if (!pid)
        return 0;
    if (clock_getcpuclockid(pid, &clock))
        die("there is no process %ld", pid);
    return nanoseconds_of(clock) * 1e-9;
}

# What must hold whatever a peer sends and a disk does. Looked at only in builds with FASTLOG_DEBUG
# (those of the sanitizers and fuzzers too), where the process ends with one line that says what
# does not hold; so `holds` must do nothing but look.
cdef extern from * nogil:
    """
    #ifndef FASTLOG_INSIST
    #define FASTLOG_INSIST
    #if FASTLOG_DEBUG
    #include <stdio.h>
    #include <stdlib.h>
    #define fl_insist(holds, what) do { if (!(holds)) { \\
        fprintf(stderr, "fastlog: %s:%d: %s\\n", __FILE__, __LINE__, what); abort(); } } while (0)
    #else
    #define fl_insist(holds, what) ((void)0)
    #endif
    #endif
    """
    void insist "fl_insist"(int holds, const char *what) noexcept

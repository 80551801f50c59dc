# Breaks inputs, gives them to a target, keeps those that reached something new.
from libc.stdint cimport int32_t, uint8_t, uint64_t

cdef enum:
    INPUT_MAX = 8192

# `data` is a block of its own of just `size` bytes, for the target to read and to change. NULL: all
# is well, else what is wrong.
ctypedef const char *(*target_run)(uint8_t *data, int32_t size) noexcept nogil
# Brings lengths and checksums back into line, so that what lies behind them is reached. The new
# size.
ctypedef int32_t (*target_mend)(uint8_t *data, int32_t size, uint64_t chance) noexcept nogil

cdef class Target:
    cdef target_run run
    cdef target_mend mend       # or NULL

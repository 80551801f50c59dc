# Opens a partition's folder: puts right what a crash left, and rebuilds what is missing.
from libc.stdint cimport int64_t
from fastlog_ext.log_state cimport PartitionLog

# Raises OSError or CorruptLog. The log is not published to anybody yet.
cdef int recover(PartitionLog *log, str folder, bint clean, int64_t recovery_point,
                 int64_t log_start_offset) except -1
# The producers' table as it was at end_offset: the newest usable snapshot (`found`: offsets,
# ascending, from which goes what is removed) and a replay from there.
cdef int rebuild_producers(PartitionLog *log, str folder, list found, int64_t end_offset) except -1
cdef int check(int error, str path) except -1       # raises for an errno

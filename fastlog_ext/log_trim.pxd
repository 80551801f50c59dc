# Operations that take bytes away or make them durable. Python edge; each takes the writer's role
# itself. The caller has the log's folder_lock where files are renamed or removed.
from libc.stdint cimport int64_t
from fastlog_ext.log_state cimport PartitionLog

cdef list truncate(PartitionLog *log, str folder, int64_t offset)       # paths of *.deleted files
cdef list truncate_fully(PartitionLog *log, str folder, int64_t new_start)
# with_active: the active segment too, behind a new one, if all of it lies below the offset
cdef list raise_log_start(PartitionLog *log, str folder, int64_t offset, bint with_active)
# due_ms: only if due by then; -1: now
cdef int roll(PartitionLog *log, str folder, int64_t due_ms) except -1
cdef int flush(PartitionLog *log, str folder) except -1
# Its folder failed: as log_fail, and the files are let go. Waits for the writer.
cdef void take_offline(PartitionLog *log, int error) noexcept nogil
cdef int close_log(PartitionLog *log, str folder, bint durable) except -1

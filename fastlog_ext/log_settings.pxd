# A log's settings as the control plane gives them.
from fastlog_ext.log_state cimport PartitionLog

# Those that are named; the others stay. ValueError. Only with the writer's role.
cdef void apply_settings(PartitionLog *log, dict settings) except *

# Looking at a client's batches.
from fastlog_ext.produce_request cimport ProducePartition, ProduceRequest

# On the reactor. Sets `error`, or `heavy`: this has not been decided.
cdef void produce_check(ProduceRequest *request, ProducePartition *partition) noexcept nogil
# 1: something is heavy, and a thread looks at it; then request.mail comes. 0: all is decided.
cdef int produce_check_beside(ProduceRequest *request) noexcept nogil

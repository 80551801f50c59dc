# Fetches whose records are not in the page cache wait for the disk on the disk's own threads.
from libc.stdint cimport int64_t
from fastlog_ext.fetch_request cimport FetchPartition, FetchRequest
from fastlog_ext.log_state cimport ReadHint

# Before a partition is read: whether it must be read from the page cache only, which is then
# switched on.
cdef int cold_begin(FetchRequest *request, FetchPartition *partition) noexcept nogil
# After it, with the bytes that were wanted: 1 when some are not cached. What was read is given back
# then.
cdef int cold_end(FetchRequest *request, FetchPartition *partition,
                  int64_t limit) noexcept nogil
# The place to begin at that the disk's thread has found, in *place; NULL: it has not.
cdef const ReadHint *cold_place(FetchPartition *partition, ReadHint *place) noexcept nogil
# Hands the request to the disks of what is not cached; `cold_done` is called on its reactor when it
# is, as far as they could. 0: they cannot. The partitions' logs are retained.
cdef int cold_start(FetchRequest *request,
                    void (*cold_done)(FetchRequest *request) noexcept nogil) noexcept nogil

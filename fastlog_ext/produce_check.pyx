"""Looking at a client's batches.

That takes microseconds where the header is enough. Walking records takes longer: what one request
may expand to keeps a processor for a good part of a second. So a reactor looks at a little of each
request, and leaves the rest to a thread of the log's folder, which gives way to the reactors.
Requests behind it on the connection wait, so that their order stays.
"""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport malloc
from fastlog_ext.batch cimport (
    BatchPolicy, BatchVerdict, RefusedRecord, batch_check_content, batch_correct, batch_is_walked,
    batch_refused_records)
from fastlog_ext.disk cimport DiskJob, DiskState, disk_submit
from fastlog_ext.mailbox cimport mailbox_post
from fastlog_ext.partition_log cimport PartitionLog
from fastlog_ext.plane cimport Plane
from fastlog_ext.stats cimport CHECKS_BESIDE, count
from fastlog_ext.system cimport load32_relaxed, load64_relaxed

cdef enum:
    QUICK = 262144              # decompressed bytes of a request that its reactor looks at
    WALKED = 4                  # so many that lie open cost as much as one to be decompressed
    UNKNOWN_SERVER_ERROR = -1
    RECORD_ERRORS_FROM = 8
    RECORD_ERRORS_MAX = 16384   # records named in one response


cdef void fill_policy(const ProduceRequest *request, PartitionLog *log,
                      BatchPolicy *policy) noexcept nogil:
    cdef Plane *plane = request.reactor.plane
    policy.max_message_bytes = load32_relaxed(&log.max_message_bytes)
    policy.refuse_null_keys = load32_relaxed(&log.compacted) != 0
    policy.log_append_time = load32_relaxed(&log.timestamp_type) == 1
    policy.timestamp_before_max_ms = load64_relaxed(&log.timestamp_before_max_ms)
    policy.timestamp_after_max_ms = load64_relaxed(&log.timestamp_after_max_ms)
    policy.walk_records = plane.walk_records != 0
    policy.allow_zstd = 1
    policy.now_ms = request.now_ms
    policy.decoded_max = plane.max_decoded_bytes - request.decoded


cdef void produce_check(ProduceRequest *request, ProducePartition *partition) noexcept nogil:
    cdef BatchPolicy policy
    cdef BatchVerdict verdict
    cdef int64_t most
    fill_policy(request, partition.log, &policy)
    request.looked += partition.size // WALKED
    if request.looked > QUICK and batch_is_walked(partition.records, partition.size, &policy):
        partition.heavy = 1
        return
    most = policy.decoded_max
    if most > QUICK:
        policy.decoded_max = QUICK
    batch_check_content(partition.records, &policy, &partition.append.info, &verdict)
    request.looked += verdict.decoded   # after one that is heavy all are: they share a limit
    if verdict.decoded > policy.decoded_max and most > QUICK:
        partition.heavy = 1             # it was cut short by us
        return
    policy.decoded_max = most
    decide(request, partition, &policy, &verdict)


cdef void decide(ProduceRequest *request, ProducePartition *partition, const BatchPolicy *policy,
                 const BatchVerdict *verdict) noexcept nogil:
    request.decoded += verdict.decoded
    if not verdict.error:
        batch_correct(partition.records, &partition.append.info)
        return
    partition.error = verdict.error
    partition.record_index = verdict.record_index
    partition.message = verdict.message
    if verdict.record_index >= 0 and request.head.version >= RECORD_ERRORS_FROM:
        name_refused_records(request, partition, policy)


cdef void name_refused_records(ProduceRequest *request, ProducePartition *partition,
                               const BatchPolicy *policy) noexcept nogil:
    """All of them, so that a client can drop these and send the others again (KIP-467)."""
    cdef int32_t limit = min(RECORD_ERRORS_MAX - request.refused_records,
                             partition.append.info.record_count)
    if limit < 1:
        return                          # the first is named nevertheless
    partition.refused = <RefusedRecord *>malloc(limit * sizeof(RefusedRecord))
    if partition.refused == NULL:
        return
    partition.refused_count = batch_refused_records(
        partition.records, &partition.append.info, policy, partition.refused, limit)
    request.refused_records += partition.refused_count


cdef DiskState *folder_of_heavy(const ProduceRequest *request) noexcept nogil:
    """NULL: nothing is heavy, or its log has no folder."""
    cdef int32_t number
    for number in range(request.partition_count):
        if request.partitions[number].heavy:
            return request.partitions[number].log.disk
    return NULL


cdef int produce_check_beside(ProduceRequest *request) noexcept nogil:
    cdef DiskState *disk = folder_of_heavy(request)
    if disk == NULL:
        check_heavy(request)
        return 0
    request.job.run = run
    request.job.owner = request
    if disk_submit(&disk.checkers, &request.job):
        check_heavy(request)            # there is no thread to do it
        return 0
    count(&request.reactor.counters, CHECKS_BESIDE, 1)
    return 1


cdef void check_heavy(ProduceRequest *request) noexcept nogil:
    cdef ProducePartition *partition
    cdef BatchPolicy policy
    cdef BatchVerdict verdict
    cdef int32_t number
    for number in range(request.partition_count):
        partition = &request.partitions[number]
        if not partition.heavy:
            continue
        partition.heavy = 0
        if load32_relaxed(&request.response.connection.closed):
            partition.error = UNKNOWN_SERVER_ERROR      # nobody is left to be told
            continue
        fill_policy(request, partition.log, &policy)
        batch_check_content(partition.records, &policy, &partition.append.info, &verdict)
        decide(request, partition, &policy, &verdict)


# --- on a thread of the folder ---

cdef void run(DiskJob *job) noexcept nogil:
    cdef ProduceRequest *request = <ProduceRequest *>job.owner
    check_heavy(request)
    mailbox_post(&request.reactor.mailbox, &request.mail)

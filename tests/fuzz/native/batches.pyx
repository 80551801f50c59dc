"""Record batches as clients send them and as files hold them."""
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset
from fastlog_ext.batch cimport (
    BATCH_ATTRIBUTES, BATCH_CRC, BATCH_DECODED_MAX, BATCH_HEADER_SIZE, BATCH_LENGTH, BATCH_MAGIC,
    BATCH_SIZE_PREFIX, BatchInfo, BatchPolicy, BatchVerdict, RefusedRecord, batch_correct,
    batch_crc_ok, batch_find_max_timestamp, batch_find_timestamp, batch_first, batch_parse,
    batch_refused_records, batch_stamp, batch_stamp_append_time, batch_validate)
from fastlog_ext.crc32c cimport crc32c
from fastlog_ext.endian cimport put32
from tests.fuzz.native.loop cimport Target

cdef enum:
    REFUSED_MOST = 16
    NOW_MS = 1700000000000
    DECODED_MAX = 1 << 20       # that much more is refused is part of what is tried


cdef const char *look_for_times(const uint8_t *data, const BatchInfo *info) noexcept nogil:
    cdef int64_t offset = 0, timestamp = 0, greatest = 0
    cdef int64_t left = BATCH_DECODED_MAX
    if (batch_find_timestamp(data, info, NOW_MS, &left, &offset, &timestamp) == 1
            and timestamp < NOW_MS):
        return b"a record earlier than was asked for"
    left = BATCH_DECODED_MAX
    if batch_find_max_timestamp(data, info, &left, &offset, &greatest) == 1:
        left = BATCH_DECODED_MAX
        if batch_find_timestamp(data, info, greatest, &left, &offset, &timestamp) != 1:
            return b"the greatest timestamp is not found"
    return NULL


cdef const char *run_policy(uint8_t *data, int32_t size, BatchPolicy *policy) noexcept nogil:
    cdef BatchInfo info
    cdef BatchVerdict verdict
    cdef RefusedRecord refused[REFUSED_MOST]
    cdef int32_t count
    memset(&info, 0, sizeof(info))
    batch_validate(data, size, policy, &info, &verdict)
    if verdict.error != 0:
        if verdict.record_index >= 0:
            count = batch_refused_records(data, &info, policy, refused, REFUSED_MOST)
            if count < 1 or refused[0].index != verdict.record_index:
                return b"the verdict names another record than the list"
        return NULL
    if info.size < BATCH_HEADER_SIZE or info.size > size:
        return b"an accepted batch is longer than its bytes"
    if info.record_count != info.last_offset_delta + 1:
        return b"an accepted batch has other offsets than records"
    batch_correct(data, &info)
    batch_stamp(data, 1 << 40, 7)
    if not policy.log_append_time:
        return NULL
    batch_stamp_append_time(data, &info, NOW_MS)
    if batch_parse(data, size, &info) != 0 or not batch_crc_ok(data, &info):
        return b"a stamped batch has a wrong checksum"
    return NULL


cdef const char *run(uint8_t *data, int32_t size) noexcept nogil:
    cdef BatchInfo info
    cdef BatchPolicy policy
    cdef const char *wrong
    cdef int number
    batch_first(data, size)
    if batch_parse(data, size, &info) == 0 and info.magic == 2:
        batch_crc_ok(data, &info)
        wrong = look_for_times(data, &info)
        if wrong != NULL:
            return wrong
    for number in range(2):             # the second changes the batch
        policy.max_message_bytes = 1 << 20
        policy.walk_records = 1
        policy.refuse_null_keys = number
        policy.log_append_time = number
        policy.allow_zstd = 1
        policy.timestamp_before_max_ms = INT64_MAX if number else 3600000
        policy.timestamp_after_max_ms = INT64_MAX if number else 3600000
        policy.now_ms = NOW_MS
        policy.decoded_max = DECODED_MAX
        wrong = run_policy(data, size, &policy)
        if wrong != NULL:
            return wrong
    return NULL


cdef int32_t mend(uint8_t *data, int32_t size, uint64_t chance) noexcept nogil:
    if size < BATCH_HEADER_SIZE:
        return size
    if chance & 7:
        put32(data + BATCH_LENGTH, size - BATCH_SIZE_PREFIX)
        data[BATCH_MAGIC] = 2
    if chance & 0x38:
        memset(data, 0, 8)
        put32(data + BATCH_CRC,
              <int32_t>crc32c(0, data + BATCH_ATTRIBUTES, size - BATCH_ATTRIBUTES))
    return size


def target() -> Target:
    cdef Target made = Target()
    made.run = run
    made.mend = mend
    return made

"""The cache of fetch sessions. Kafka's rules of eviction; see fetch_sessions.pxd.

The lock guards the table and who holds a session; what is in a session is its holder's alone.
"""
from libc.stdint cimport INT32_MAX, int8_t, int16_t, int32_t, int64_t
from libc.stdlib cimport calloc, free
from fastlog_ext.fetch_request cimport FetchPartition, FetchRequest, FetchSet
from fastlog_ext.fetch_set cimport (
    PlacedSet, placed_bytes, placed_clear, placed_forget, placed_put, placed_rotate)
from fastlog_ext.system cimport (
    getrandom, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t,
    pthread_mutex_unlock)

cdef enum:
    BUCKETS = 1024
    BY_ID_FROM = 13
    INITIAL_EPOCH = 0           # a full request that would like a session
    FINAL_EPOCH = -1            # a full request that does not

cdef enum:
    UNKNOWN_TOPIC_OR_PARTITION = 3
    FETCH_SESSION_ID_NOT_FOUND = 70
    INVALID_FETCH_SESSION_EPOCH = 71
    UNKNOWN_TOPIC_ID = 100
    FETCH_SESSION_TOPIC_ID_ERROR = 106

cdef struct Session:
    Session *next               # of its bucket
    int32_t id
    int32_t epoch               # that the next request must carry
    int32_t size                # partitions when it was last used
    int64_t created_ms
    int64_t used_ms
    int64_t bytes               # counted in the cache's total
    int8_t by_id                # its topics are known by id
    int8_t old                  # when last used, it had lived long enough to be evicted by size
    int8_t held                 # a request has its partitions
    int8_t removed              # from the table: whoever lets go of it frees it
    PlacedSet partitions

cdef struct Cache:
    pthread_mutex_t lock
    int32_t slots
    int32_t count               # in the table, or about to be
    int64_t eviction_ms
    int64_t bytes_limit
    int64_t bytes
    Session *buckets[BUCKETS]


cdef inline Cache *cache_of(FetchSessions *sessions) noexcept nogil:
    return <Cache *>sessions


cdef inline Cache *cache_for(FetchRequest *request) noexcept nogil:
    return <Cache *>request.reactor.plane.sessions


cdef FetchSessions *fetch_sessions_open(int32_t slots, int64_t eviction_ms,
                                        int64_t bytes) noexcept nogil:
    cdef Cache *cache = <Cache *>calloc(1, sizeof(Cache))
    if cache == NULL:
        return NULL
    cache.slots = slots
    cache.eviction_ms = eviction_ms
    cache.bytes_limit = bytes
    pthread_mutex_init(&cache.lock, NULL)
    return <FetchSessions *>cache


cdef void free_session(Session *session) noexcept nogil:
    placed_clear(&session.partitions)
    free(session)


cdef void fetch_sessions_close(FetchSessions *sessions) noexcept nogil:
    cdef Cache *cache = cache_of(sessions)
    cdef Session *session
    cdef int32_t bucket
    if cache == NULL:
        return
    for bucket in range(BUCKETS):
        while cache.buckets[bucket] != NULL:
            session = cache.buckets[bucket]
            cache.buckets[bucket] = session.next
            free_session(session)
    pthread_mutex_destroy(&cache.lock)
    free(cache)


cdef int32_t fetch_sessions_count(FetchSessions *sessions) noexcept nogil:
    cdef Cache *cache = cache_of(sessions)
    cdef int32_t found
    pthread_mutex_lock(&cache.lock)
    found = cache.count
    pthread_mutex_unlock(&cache.lock)
    return found


# --- the table, with the lock held ---

cdef Session *find(Cache *cache, int32_t id) noexcept nogil:
    cdef Session *session = cache.buckets[id & (BUCKETS - 1)]
    while session != NULL and session.id != id:
        session = session.next
    return session


cdef Session *take_out(Cache *cache, Session *session) noexcept nogil:
    """Returns it when nobody holds it: to be freed without the lock."""
    cdef Session **link = &cache.buckets[session.id & (BUCKETS - 1)]
    while link[0] != session:
        link = &link[0].next
    link[0] = session.next
    cache.count -= 1
    cache.bytes -= session.bytes
    session.removed = 1
    return NULL if session.held else session


cdef int32_t new_id(Cache *cache) noexcept nogil:
    """Random, above 0, and not in use: a client must not guess another's."""
    cdef int32_t id = 0
    while id == 0 or find(cache, id) != NULL:
        if getrandom(&id, sizeof(id), 0) == sizeof(id):
            id &= INT32_MAX
        else:
            id = 0              # interrupted
    return id


cdef inline int older(Session *one, Session *other) noexcept nogil:
    return other == NULL or one.used_ms < other.used_ms or (
        one.used_ms == other.used_ms and one.id < other.id)


cdef inline int smaller(Session *one, Session *other) noexcept nogil:
    return other == NULL or one.size < other.size or (
        one.size == other.size and one.id < other.id)


cdef Session *victim(Cache *cache, int32_t size, int64_t now_ms) noexcept nogil:
    """What must go so that a session of `size` partitions finds room: the one longest unused, if
    that is long enough; else the smallest that is not young and smaller than the new one."""
    cdef Session *session
    cdef Session *stale = NULL
    cdef Session *least = NULL
    cdef int32_t bucket
    for bucket in range(BUCKETS):
        session = cache.buckets[bucket]
        while session != NULL:
            if older(session, stale):
                stale = session
            if session.old and smaller(session, least):
                least = session
            session = session.next
    if stale != NULL and now_ms - stale.used_ms > cache.eviction_ms:
        return stale
    return least if least != NULL and least.size < size else NULL


# --- a request and its session ---

cdef inline int32_t epoch_after(int32_t epoch) noexcept nogil:
    return 1 if epoch == INT32_MAX else epoch + 1


cdef void close_session(Cache *cache, int32_t id) noexcept nogil:
    cdef Session *session
    cdef Session *gone = NULL
    pthread_mutex_lock(&cache.lock)
    session = find(cache, id)
    if session != NULL:
        gone = take_out(cache, session)
    pthread_mutex_unlock(&cache.lock)
    if gone != NULL:
        free_session(gone)


cdef int16_t hold(Cache *cache, FetchRequest *request, Session **out) noexcept nogil:
    cdef Session *session
    cdef int16_t error = 0
    cdef int64_t now_ms = request.reactor.now_ms
    pthread_mutex_lock(&cache.lock)
    session = find(cache, request.session_id)
    if session == NULL:
        error = FETCH_SESSION_ID_NOT_FOUND
    elif session.epoch != request.session_epoch or session.held:
        error = INVALID_FETCH_SESSION_EPOCH
    elif session.by_id != (request.head.version >= BY_ID_FROM):
        error = FETCH_SESSION_TOPIC_ID_ERROR
    else:
        session.held = 1
        session.epoch = epoch_after(session.epoch)
        session.used_ms = now_ms
        session.old = now_ms - session.created_ms > cache.eviction_ms
    pthread_mutex_unlock(&cache.lock)
    out[0] = session
    return error


cdef int let_go(Cache *cache, Session *session, int drop) noexcept nogil:
    """1: it is still known. Accounts for what it holds now."""
    cdef int64_t bytes = placed_bytes(&session.partitions)
    cdef int removed
    pthread_mutex_lock(&cache.lock)
    if not session.removed:
        cache.bytes += bytes - session.bytes
        session.bytes = bytes
        session.size = session.partitions.set.partition_count
        if drop:
            take_out(cache, session)
    session.held = 0
    removed = session.removed
    pthread_mutex_unlock(&cache.lock)
    if removed:
        free_session(session)
    return not removed


cdef int64_t bytes_of_others(Cache *cache, Session *session) noexcept nogil:
    cdef int64_t bytes
    pthread_mutex_lock(&cache.lock)
    bytes = cache.bytes if session.removed else cache.bytes - session.bytes
    pthread_mutex_unlock(&cache.lock)
    return bytes


cdef int update(Cache *cache, Session *session, FetchRequest *request) noexcept nogil:
    """What the request names comes in or changes, what it forgets goes. -1: no memory for it."""
    cdef FetchPartition *kept
    cdef int32_t number
    for number in range(request.set.partition_count):
        kept = placed_put(&session.partitions, &request.set, number)
        if kept == NULL:
            return -1
    if (request.set.partition_count > 0 and bytes_of_others(cache, session)
            + placed_bytes(&session.partitions) > cache.bytes_limit):
        return -1
    return placed_forget(&session.partitions, request)


cdef void exchange_sets(FetchRequest *request, Session *session) noexcept nogil:
    cdef FetchSet own = request.set
    request.set = session.partitions.set
    session.partitions.set = own


cdef int16_t fetch_session_take(FetchRequest *request) noexcept nogil:
    cdef Cache *cache = cache_for(request)
    cdef Session *session = NULL
    cdef int16_t error
    request.session = NULL
    request.answered_session = 0
    if request.session_epoch == INITIAL_EPOCH or request.session_epoch == FINAL_EPOCH:
        if request.session_id != 0:
            close_session(cache, request.session_id)
        return 0
    error = hold(cache, request, &session)
    if error:
        return error
    if update(cache, session, request):
        let_go(cache, session, 1)
        return FETCH_SESSION_ID_NOT_FOUND       # the client begins anew, and gets none
    if session.partitions.set.partition_count == 0:
        let_go(cache, session, 1)
        return 0
    exchange_sets(request, session)
    request.session = session
    request.answered_session = session.id
    return 0


cdef void fetch_session_release(FetchRequest *request) noexcept nogil:
    cdef Session *session = <Session *>request.session
    if session == NULL:
        return
    request.session = NULL
    exchange_sets(request, session)
    placed_rotate(&session.partitions)
    let_go(cache_for(request), session, 0)


# --- the answer ---

cdef inline int is_unknown(FetchPartition *partition) noexcept nogil:
    return (partition.error == UNKNOWN_TOPIC_OR_PARTITION
            or partition.error == UNKNOWN_TOPIC_ID)


cdef inline void note_answer(FetchPartition *partition, const FetchPartition *read) noexcept nogil:
    partition.told_high_watermark = -1 if read.error else read.read.view.high_watermark
    partition.told_log_start = -1 if read.error else read.read.view.log_start_offset


cdef int has_news(FetchPartition *partition) noexcept nogil:
    cdef int64_t high_watermark = partition.told_high_watermark
    cdef int64_t log_start = partition.told_log_start
    note_answer(partition, partition)
    return (partition.read.size > 0 or partition.error != 0 or partition.diverges
            or high_watermark != partition.told_high_watermark
            or log_start != partition.told_log_start)


cdef int fill(Session *session, FetchRequest *request) noexcept nogil:
    """As Kafka orders them: what is not there comes last."""
    cdef FetchPartition *kept
    cdef FetchPartition *read
    cdef int32_t number
    cdef int unknown
    for unknown in range(2):
        for number in range(request.set.partition_count):
            read = &request.set.partitions[number]
            if is_unknown(read) != unknown:
                continue
            kept = placed_put(&session.partitions, &request.set, number)
            if kept == NULL:
                return -1
            note_answer(kept, read)
    return 0


cdef int reserve(Cache *cache, int32_t size, int64_t now_ms) noexcept nogil:
    """1: there is a slot. Evicts for it."""
    cdef Session *session = NULL
    cdef Session *gone = NULL
    cdef int found = 0
    pthread_mutex_lock(&cache.lock)
    if cache.bytes + size * <int64_t>sizeof(FetchPartition) <= cache.bytes_limit:
        found = cache.count < cache.slots
        if not found:
            session = victim(cache, size, now_ms)
            found = session != NULL
            if found:
                gone = take_out(cache, session)
    cache.count += found
    pthread_mutex_unlock(&cache.lock)
    if gone != NULL:
        free_session(gone)
    return found


cdef void make_session(FetchRequest *request) noexcept nogil:
    cdef Cache *cache = cache_for(request)
    cdef int64_t now_ms = request.reactor.now_ms
    cdef Session *session
    if not reserve(cache, request.set.partition_count, now_ms):
        return
    session = <Session *>calloc(1, sizeof(Session))
    if session == NULL or fill(session, request):
        if session != NULL:
            free_session(session)
        session = NULL
    pthread_mutex_lock(&cache.lock)
    if session == NULL:
        cache.count -= 1
    else:
        session.id = new_id(cache)
        session.epoch = 1
        session.by_id = request.head.version >= BY_ID_FROM
        session.size = session.partitions.set.partition_count
        session.bytes = placed_bytes(&session.partitions)
        session.created_ms = now_ms
        session.used_ms = now_ms
        session.next = cache.buckets[session.id & (BUCKETS - 1)]
        cache.buckets[session.id & (BUCKETS - 1)] = session
        cache.bytes += session.bytes
        request.answered_session = session.id
    pthread_mutex_unlock(&cache.lock)


cdef void fetch_session_choose(FetchRequest *request) noexcept nogil:
    cdef FetchPartition *partition
    cdef int32_t number
    for number in range(request.set.partition_count):
        partition = &request.set.partitions[number]
        partition.sent = partition.read.size > 0
        partition.chosen = request.session == NULL or has_news(partition)
    if request.session_epoch == INITIAL_EPOCH:
        make_session(request)

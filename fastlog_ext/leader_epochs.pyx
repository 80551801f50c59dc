"""Which leader epoch starts at which offset (KIP-101, KIP-320), kept in leader-epoch-checkpoint."""
import os

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memmove, memset
from fastlog_ext.files cimport file_size, open_file, read_at, sync_file, sync_folder, write_at
from fastlog_ext.system cimport (
    EINVAL, ENOENT, ENOMEM, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY, close, last_errno, load32,
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, rename,
    snprintf, store32)

cdef enum:
    PATH_LIMIT = 4200
    FIRST_CAPACITY = 4
    LONGEST_LINE = 36               # two integers, a space, a newline, and the terminator
    LONGEST_HEAD = 16
    LARGEST_FILE = 64 * 1024 * 1024


# --- entries: ascending in epoch and in offset. Only the writer changes them, hence it reads them
# without the lock ---

cdef int reserve(LeaderEpochs *epochs, int32_t count) noexcept nogil:
    cdef EpochEntry *larger
    cdef int32_t capacity = max(epochs.capacity, <int32_t>FIRST_CAPACITY)
    if count <= epochs.capacity:
        return 0
    while capacity < count:
        capacity *= 2
    larger = <EpochEntry *>realloc(epochs.entries, capacity * sizeof(EpochEntry))
    if larger == NULL:
        return ENOMEM
    epochs.entries = larger
    epochs.capacity = capacity
    return 0


cdef void keep(LeaderEpochs *epochs, int32_t first, int32_t count) noexcept nogil:
    """Drops all but `count` entries from `first` on. Under the lock."""
    if first > 0 and count > 0:
        memmove(epochs.entries, epochs.entries + first, count * sizeof(EpochEntry))
    epochs.count = count
    store32(&epochs.latest, epochs.entries[count - 1].epoch if count > 0 else -1)


cdef int add_entry(LeaderEpochs *epochs, int32_t epoch, int64_t start_offset) noexcept nogil:
    """1: added, 0: nothing to change, -1: out of memory. What contradicts the new entry goes."""
    cdef EpochEntry *last
    cdef int32_t count = epochs.count
    cdef int failed
    if count > 0:
        last = &epochs.entries[count - 1]
        if last.epoch == epoch and last.start_offset <= start_offset:
            return 0
    pthread_mutex_lock(&epochs.lock)
    failed = reserve(epochs, count + 1)
    if not failed:
        while count > 0 and (epochs.entries[count - 1].epoch >= epoch
                             or epochs.entries[count - 1].start_offset >= start_offset):
            count -= 1
        epochs.entries[count].epoch = epoch
        epochs.entries[count].start_offset = start_offset
        keep(epochs, 0, count + 1)
    pthread_mutex_unlock(&epochs.lock)
    return -1 if failed else 1


# --- the file ---

cdef inline int is_space(char byte) noexcept nogil:
    return byte == c' ' or byte == c'\t' or byte == c'\r'


cdef int read_integer(const char **at, const char *end, int64_t limit,
                      int64_t *value) noexcept nogil:
    """1: a number from 0 to `limit` stood there."""
    cdef int64_t digit
    cdef const char *start
    while at[0] < end and is_space(at[0][0]):
        at[0] += 1
    start = at[0]
    value[0] = 0
    while at[0] < end and c'0' <= at[0][0] <= c'9':
        digit = at[0][0] - c'0'
        if digit > limit or value[0] > (limit - digit) // 10:
            return 0
        value[0] = value[0] * 10 + digit
        at[0] += 1
    return at[0] > start


cdef int end_line(const char **at, const char *end) noexcept nogil:
    """1: nothing but the end of the line, or of the file, followed."""
    while at[0] < end and is_space(at[0][0]):
        at[0] += 1
    if at[0] == end:
        return 1
    if at[0][0] != c'\n':
        return 0
    at[0] += 1
    return 1


cdef int parse(LeaderEpochs *epochs, const char *text, int64_t size) noexcept nogil:
    """0, ENOMEM, or -1: malformed."""
    cdef const char *at = text
    cdef const char *end = text + size
    cdef int64_t number, count, epoch, offset
    cdef int64_t int32_limit = 0x7fffffff
    cdef int64_t int64_limit = 0x7fffffffffffffff
    if size == 0:
        return 0                            # created and never written: Kafka does so
    if not (read_integer(&at, end, 0, &number) and end_line(&at, end)):
        return -1
    if at == end:
        return 0
    if not (read_integer(&at, end, int32_limit, &count) and end_line(&at, end)):
        return -1
    for number in range(count):
        if not (read_integer(&at, end, int32_limit, &epoch)
                and read_integer(&at, end, int64_limit, &offset) and end_line(&at, end)):
            return -1
        epochs.newest_on_file = max(epochs.newest_on_file, <int32_t>epoch)
        if add_entry(epochs, <int32_t>epoch, offset) < 0:
            return ENOMEM
    return 0 if at == end else -1


cdef int read_file(LeaderEpochs *epochs) noexcept nogil:
    cdef char *text
    cdef int64_t size, got
    cdef int error
    cdef int fd = open_file(epochs.path, b"", O_RDONLY)
    if fd < 0:
        return 0 if fd == -ENOENT else -fd
    size = file_size(fd)
    if size < 0 or size > LARGEST_FILE:
        error = last_errno() if size < 0 else -1
        close(fd)
        return error
    text = <char *>malloc(size + 1)
    if text == NULL:
        error = ENOMEM
    else:
        got = read_at(fd, text, size, 0)
        error = last_errno() if got < 0 else parse(epochs, text, got)
    free(text)
    close(fd)
    return error


cdef int folder_of(const char *path, char *folder) noexcept nogil:
    """1: `folder` holds the path without its last part; 0: there is none."""
    cdef int length = snprintf(folder, PATH_LIMIT, b"%s", path)
    while length > 0 and folder[length - 1] != c'/':
        length -= 1
    if length > 1:
        folder[length - 1] = 0
    return length > 1


cdef int replace_file(const char *path, const char *text, int64_t size) noexcept nogil:
    """Through a temporary name, synced with the folder. 0 or errno."""
    cdef char other[PATH_LIMIT]
    cdef int error
    cdef int fd = open_file(path, b".tmp", O_WRONLY | O_CREAT | O_TRUNC)
    if fd < 0:
        return -fd
    error = write_at(fd, text, size, 0)
    if not error:
        error = sync_file(fd)
    if close(fd) != 0 and not error:
        error = last_errno()
    if error:
        return error
    snprintf(other, PATH_LIMIT, b"%s.tmp", path)
    if rename(other, path) != 0:
        return last_errno()
    return sync_folder(other) if folder_of(path, other) else 0


cdef int holds(const char *path, const char *text, int64_t size) noexcept nogil:
    """Whether the file is just this text, in one read; what it takes more for counts as not."""
    cdef char found[512]
    cdef int64_t length
    cdef int fd
    if size >= <int64_t>sizeof(found):
        return 0
    fd = open_file(path, b"", O_RDONLY)
    if fd < 0:
        return 0
    length = read_at(fd, found, sizeof(found), 0)
    close(fd)
    return length == size and memcmp(found, text, <size_t>size) == 0


cdef int write_file(LeaderEpochs *epochs) noexcept nogil:
    """By the writer, without the lock: a reader never waits for the disk."""
    cdef int32_t number
    cdef int error = 0
    cdef int64_t size
    cdef char *text = <char *>malloc(LONGEST_HEAD + <size_t>epochs.count * LONGEST_LINE)
    if text == NULL:
        return ENOMEM
    size = snprintf(text, LONGEST_HEAD, b"0\n%d\n", epochs.count)
    for number in range(epochs.count):
        size += snprintf(text + size, LONGEST_LINE, b"%d %lld\n", epochs.entries[number].epoch,
                         <long long>epochs.entries[number].start_offset)
    if not epochs.unwritten or not holds(epochs.path, text, size):
        error = replace_file(epochs.path, text, size)
    epochs.unwritten = error != 0
    if not error:
        epochs.newest_on_file = leader_epochs_latest(epochs)
    free(text)
    return error


# --- what the log calls ---

cdef int leader_epochs_open(LeaderEpochs *epochs, const char *folder) noexcept nogil:
    cdef int error
    memset(epochs, 0, sizeof(LeaderEpochs))
    epochs.latest = -1
    epochs.newest_on_file = -1
    pthread_mutex_init(&epochs.lock, NULL)
    epochs.path = <char *>malloc(PATH_LIMIT)
    if epochs.path == NULL:
        error = ENOMEM
    else:
        # room for .tmp behind it
        snprintf(epochs.path, PATH_LIMIT - 8, b"%s/leader-epoch-checkpoint", folder)
        error = read_file(epochs)
    if error:
        leader_epochs_close(epochs)
    return error


cdef void leader_epochs_close(LeaderEpochs *epochs) noexcept nogil:
    if epochs.path == NULL and epochs.entries == NULL:
        return                              # never opened, or closed already
    free(epochs.entries)
    free(epochs.path)
    epochs.entries = NULL
    epochs.path = NULL
    epochs.count = epochs.capacity = 0
    pthread_mutex_destroy(&epochs.lock)


cdef int leader_epochs_assign(LeaderEpochs *epochs, int32_t epoch,
                              int64_t start_offset) noexcept nogil:
    cdef int added
    if epoch < 0 or start_offset < 0:
        return EINVAL
    added = add_entry(epochs, epoch, start_offset)
    if added < 0:
        return ENOMEM
    if added:
        epochs.unwritten = 1
    return leader_epochs_write(epochs) if epoch <= epochs.newest_on_file else 0


cdef int leader_epochs_write(LeaderEpochs *epochs) noexcept nogil:
    return write_file(epochs) if epochs.unwritten else 0


cdef int32_t leader_epochs_latest(LeaderEpochs *epochs) noexcept nogil:
    return load32(&epochs.latest)


cdef int32_t first_above(const LeaderEpochs *epochs, int32_t epoch) noexcept nogil:
    cdef int32_t low = 0
    cdef int32_t high = epochs.count
    cdef int32_t middle
    while low < high:
        middle = (low + high) // 2
        if epochs.entries[middle].epoch > epoch:
            high = middle
        else:
            low = middle + 1
    return low


cdef void leader_epochs_end_offset(LeaderEpochs *epochs, int32_t requested, int64_t log_end_offset,
                                   int32_t *epoch, int64_t *end_offset) noexcept nogil:
    cdef int32_t above
    epoch[0] = -1
    end_offset[0] = -1
    if requested < 0:
        return
    pthread_mutex_lock(&epochs.lock)
    above = first_above(epochs, requested)
    if above < epochs.count:
        # Older than all that is known: its data is gone; the follower starts where the log does.
        epoch[0] = requested if above == 0 else epochs.entries[above - 1].epoch
        end_offset[0] = epochs.entries[above].start_offset
    elif above > 0 and epochs.entries[above - 1].epoch == requested:
        epoch[0] = requested
        end_offset[0] = log_end_offset
    pthread_mutex_unlock(&epochs.lock)


cdef int drop_from_end(LeaderEpochs *epochs, int64_t end_offset) noexcept nogil:
    """Whether an entry went."""
    cdef int32_t count = epochs.count
    if end_offset < 0:
        return 0
    while count > 0 and epochs.entries[count - 1].start_offset >= end_offset:
        count -= 1
    if count == epochs.count:
        return 0
    pthread_mutex_lock(&epochs.lock)
    keep(epochs, 0, count)
    pthread_mutex_unlock(&epochs.lock)
    return 1


cdef int drop_from_start(LeaderEpochs *epochs, int64_t start_offset) noexcept nogil:
    """Whether an entry went or changed."""
    cdef int32_t first = 0
    while first < epochs.count and epochs.entries[first].start_offset <= start_offset:
        first += 1
    if first == 0:
        return 0                            # none starts at or below
    first -= 1                              # the epoch in which start_offset lies stays
    if first == 0 and epochs.entries[0].start_offset == start_offset:
        return 0
    pthread_mutex_lock(&epochs.lock)
    keep(epochs, first, epochs.count - first)
    epochs.entries[0].start_offset = start_offset
    pthread_mutex_unlock(&epochs.lock)
    return 1


cdef void leader_epochs_bound(LeaderEpochs *epochs, int64_t start_offset,
                              int64_t end_offset) noexcept nogil:
    if drop_from_end(epochs, end_offset) | drop_from_start(epochs, start_offset):
        epochs.unwritten = 1


cdef int leader_epochs_truncate_from_end(LeaderEpochs *epochs, int64_t end_offset) noexcept nogil:
    return write_file(epochs) if drop_from_end(epochs, end_offset) else 0


cdef void leader_epochs_truncate_from_start(LeaderEpochs *epochs,
                                            int64_t start_offset) noexcept nogil:
    if drop_from_start(epochs, start_offset):
        epochs.unwritten = 1


cdef int leader_epochs_clear(LeaderEpochs *epochs) noexcept nogil:
    if epochs.count == 0:
        return 0
    pthread_mutex_lock(&epochs.lock)
    keep(epochs, 0, 0)
    pthread_mutex_unlock(&epochs.lock)
    return write_file(epochs)


cdef int32_t leader_epochs_for_offset(LeaderEpochs *epochs, int64_t offset) noexcept nogil:
    cdef int32_t low = 0
    cdef int32_t high, middle
    cdef int32_t found = -1
    pthread_mutex_lock(&epochs.lock)
    high = epochs.count
    while low < high:
        middle = (low + high) // 2
        if epochs.entries[middle].start_offset <= offset:
            found = epochs.entries[middle].epoch
            low = middle + 1
        else:
            high = middle
    pthread_mutex_unlock(&epochs.lock)
    return found


# --- the Python edge ---

cdef class LeaderEpochHistory:
    """The leader epochs of one partition's folder, for tests and tools, by one thread at a time."""
    cdef LeaderEpochs epochs
    cdef str path

    def __cinit__(self, folder):
        cdef bytes name = os.fsencode(folder)
        cdef const char *text = name
        cdef int error
        self.path = os.path.join(os.fsdecode(name), "leader-epoch-checkpoint")
        with nogil:
            error = leader_epochs_open(&self.epochs, text)
        if error < 0:
            raise ValueError(f"{self.path} is no leader epoch checkpoint")
        self.check(error)

    def __dealloc__(self):
        leader_epochs_close(&self.epochs)

    cdef int check(self, int error) except -1:
        if error:
            raise OSError(error, os.strerror(error), self.path)
        return 0

    @property
    def latest(self) -> int:
        """The newest epoch, or -1."""
        return leader_epochs_latest(&self.epochs)

    def entries(self) -> list:
        """(epoch, start offset) each, ascending."""
        cdef int32_t number
        return [(self.epochs.entries[number].epoch, self.epochs.entries[number].start_offset)
                for number in range(self.epochs.count)]

    def assign(self, int32_t epoch, int64_t start_offset) -> None:
        """Begins an epoch; entries that contradict it are dropped. OSError."""
        cdef int error
        with nogil:
            error = leader_epochs_assign(&self.epochs, epoch, start_offset)
            if not error:
                error = leader_epochs_write(&self.epochs)
        self.check(error)

    def end_offset(self, int32_t requested, int64_t log_end_offset) -> tuple:
        """(largest epoch <= requested, its end offset); (-1, -1): unknown."""
        cdef int32_t epoch
        cdef int64_t end_offset
        leader_epochs_end_offset(&self.epochs, requested, log_end_offset, &epoch, &end_offset)
        return epoch, end_offset

    def for_offset(self, int64_t offset) -> int:
        """The epoch in which an offset was written, or -1."""
        return leader_epochs_for_offset(&self.epochs, offset)

    def truncate_from_end(self, int64_t end_offset) -> None:
        """Drops the epochs that start at or above an offset. OSError."""
        self.check(leader_epochs_truncate_from_end(&self.epochs, end_offset))

    def truncate_from_start(self, int64_t start_offset) -> None:
        """Drops what ends at or below an offset, and lets the first epoch start there. OSError."""
        leader_epochs_truncate_from_start(&self.epochs, start_offset)
        self.check(leader_epochs_write(&self.epochs))

    def clear(self) -> None:
        """OSError."""
        self.check(leader_epochs_clear(&self.epochs))

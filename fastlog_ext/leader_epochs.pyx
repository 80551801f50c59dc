"""leader-epoch-checkpoint: a text file of (epoch, start offset), and what KIP-101 and KIP-320 ask of it.

The file is Kafka's: a line with the version 0, a line with the count, a line for each entry. It is written
to a temporary name, synced and renamed at every change; changes are as rare as elections.
"""
from libc.stdint cimport INT64_MAX, int32_t, int64_t
from libc.stdlib cimport free, malloc, realloc, strtoll
from libc.string cimport memmove, memset, strdup, strlen

from fastlog_ext.files cimport file_size, open_file, read_at, sync_file, write_at
from fastlog_ext.system cimport (
    EIO, ENOENT, ENOMEM, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY, close, last_errno,
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, rename,
    snprintf)

cdef enum:
    PATH_LIMIT = 4200
    LINE_LIMIT = 48                 # two numbers, a space and a line end
    NONE = -1


cdef int write_out(LeaderEpochs *epochs) noexcept nogil:
    """Writes the checkpoint. The caller holds the lock (or is alone)."""
    cdef char temporary[PATH_LIMIT]
    cdef int64_t capacity = LINE_LIMIT * (<int64_t>epochs.count + 2)
    cdef char *text = <char *>malloc(capacity)
    cdef int64_t size
    cdef int number, fd, error
    if text == NULL:
        return ENOMEM
    size = snprintf(text, capacity, b"0\n%d\n", epochs.count)
    for number in range(epochs.count):
        size += snprintf(text + size, capacity - size, b"%d %lld\n", epochs.entries[number].epoch,
                         <long long>epochs.entries[number].start_offset)
    snprintf(temporary, PATH_LIMIT, b"%s.tmp", epochs.path)
    fd = open_file(temporary, b"", O_WRONLY | O_CREAT | O_TRUNC)
    if fd < 0:
        free(text)
        return -fd
    error = write_at(fd, text, size, 0)
    if error == 0:
        error = sync_file(fd)
    if close(fd) != 0 and error == 0:
        error = last_errno()
    free(text)
    if error == 0 and rename(temporary, epochs.path) != 0:
        error = last_errno()
    return error


cdef int reserve(LeaderEpochs *epochs, int32_t count) noexcept nogil:
    cdef EpochEntry *entries
    if count <= epochs.capacity:
        return 0
    entries = <EpochEntry *>realloc(epochs.entries, 2 * count * sizeof(EpochEntry))
    if entries == NULL:
        return ENOMEM
    epochs.entries = entries
    epochs.capacity = 2 * count
    return 0


cdef int take_number(char **at, int64_t lowest, int64_t highest, char terminator, int64_t *value) noexcept nogil:
    """One decimal number that ends with `terminator`. 1, or 0 when it is anything else."""
    cdef char *end
    if not (b"0"[0] <= at[0][0] <= b"9"[0] or at[0][0] == b"-"[0]):
        return 0
    value[0] = strtoll(at[0], &end, 10)
    if end == at[0] or end[0] != terminator or value[0] < lowest or value[0] > highest:
        return 0
    at[0] = end + 1
    return 1


cdef int parse(LeaderEpochs *epochs, char *text) noexcept nogil:
    cdef char *at = text
    cdef int64_t version, count, epoch, offset
    cdef int64_t number
    if not take_number(&at, 0, 0, b"\n"[0], &version) or not take_number(
            &at, 0, <int64_t>strlen(text) // 4 + 1, b"\n"[0], &count):
        return -1
    if reserve(epochs, <int32_t>count) != 0:
        return ENOMEM
    for number in range(count):
        if not take_number(&at, 0, 0x7fffffff, b" "[0], &epoch) or not take_number(
                &at, 0, INT64_MAX, b"\n"[0], &offset):
            return -1
        if epochs.count > 0 and (epoch <= epochs.entries[epochs.count - 1].epoch
                                 or offset < epochs.entries[epochs.count - 1].start_offset):
            return -1
        epochs.entries[epochs.count].epoch = <int32_t>epoch
        epochs.entries[epochs.count].start_offset = offset
        epochs.count += 1
    return 0


cdef int load(LeaderEpochs *epochs) noexcept nogil:
    cdef int fd = open_file(epochs.path, b"", O_RDONLY)
    cdef int64_t size
    cdef char *text
    cdef int error
    if fd < 0:
        return 0 if -fd == ENOENT else -fd
    size = file_size(fd)
    text = <char *>malloc(size + 1) if size >= 0 else NULL
    if text == NULL:
        close(fd)
        return ENOMEM if size >= 0 else EIO
    if read_at(fd, text, size, 0) != size:
        error = EIO
    else:
        text[size] = 0
        error = parse(epochs, text)
    if error:
        epochs.count = 0
    close(fd)
    free(text)
    return error


cdef int leader_epochs_open(LeaderEpochs *epochs, const char *folder) noexcept nogil:
    cdef char path[PATH_LIMIT]
    memset(epochs, 0, sizeof(LeaderEpochs))
    pthread_mutex_init(&epochs.lock, NULL)
    snprintf(path, PATH_LIMIT, b"%s/leader-epoch-checkpoint", folder)
    epochs.path = strdup(path)
    if epochs.path == NULL:
        return ENOMEM
    return load(epochs)


cdef void leader_epochs_close(LeaderEpochs *epochs) noexcept nogil:
    if epochs.path == NULL:
        return
    free(epochs.entries)
    free(epochs.path)
    epochs.entries = NULL
    epochs.path = NULL
    epochs.count = 0
    pthread_mutex_destroy(&epochs.lock)


cdef int leader_epochs_assign(LeaderEpochs *epochs, int32_t epoch, int64_t start_offset) noexcept nogil:
    cdef int error = 0
    pthread_mutex_lock(&epochs.lock)
    if epochs.count == 0 or epoch > epochs.entries[epochs.count - 1].epoch:
        # an epoch in which nothing was written is replaced, so that start offsets only rise
        while epochs.count > 0 and epochs.entries[epochs.count - 1].start_offset >= start_offset:
            epochs.count -= 1
        error = reserve(epochs, epochs.count + 1)
        if error == 0:
            epochs.entries[epochs.count].epoch = epoch
            epochs.entries[epochs.count].start_offset = start_offset
            epochs.count += 1
            error = write_out(epochs)
    pthread_mutex_unlock(&epochs.lock)
    return error


cdef int32_t leader_epochs_latest(LeaderEpochs *epochs) noexcept nogil:
    cdef int32_t latest
    pthread_mutex_lock(&epochs.lock)
    latest = epochs.entries[epochs.count - 1].epoch if epochs.count > 0 else NONE
    pthread_mutex_unlock(&epochs.lock)
    return latest


cdef void leader_epochs_end_offset(LeaderEpochs *epochs, int32_t requested, int64_t log_end_offset,
                                   int32_t *epoch, int64_t *end_offset) noexcept nogil:
    cdef int number
    epoch[0] = NONE
    end_offset[0] = NONE
    if requested < 0:
        return
    pthread_mutex_lock(&epochs.lock)
    if epochs.count > 0:
        if requested == epochs.entries[epochs.count - 1].epoch:
            epoch[0] = requested
            end_offset[0] = log_end_offset
        elif requested < epochs.entries[epochs.count - 1].epoch:
            number = 0
            while epochs.entries[number].epoch <= requested:
                number += 1
            # older than all that is known: Kafka answers the requested epoch and its first offset
            epoch[0] = epochs.entries[number - 1].epoch if number > 0 else requested
            end_offset[0] = epochs.entries[number].start_offset
    pthread_mutex_unlock(&epochs.lock)


cdef int leader_epochs_truncate_from_end(LeaderEpochs *epochs, int64_t end_offset) noexcept nogil:
    cdef int error = 0
    cdef int32_t before
    pthread_mutex_lock(&epochs.lock)
    before = epochs.count
    while epochs.count > 0 and epochs.entries[epochs.count - 1].start_offset >= end_offset:
        epochs.count -= 1
    if epochs.count != before:
        error = write_out(epochs)
    pthread_mutex_unlock(&epochs.lock)
    return error


cdef int leader_epochs_truncate_from_start(LeaderEpochs *epochs, int64_t start_offset) noexcept nogil:
    """Drops what ends at or below the offset; the entry that covers it then starts there."""
    cdef int error = 0
    cdef int32_t drop = 0
    pthread_mutex_lock(&epochs.lock)
    while drop + 1 < epochs.count and epochs.entries[drop + 1].start_offset <= start_offset:
        drop += 1
    if epochs.count > 0 and epochs.entries[drop].start_offset < start_offset:
        memmove(epochs.entries, epochs.entries + drop, (epochs.count - drop) * sizeof(EpochEntry))
        epochs.count -= drop
        epochs.entries[0].start_offset = start_offset
        error = write_out(epochs)
    elif drop > 0:
        memmove(epochs.entries, epochs.entries + drop, (epochs.count - drop) * sizeof(EpochEntry))
        epochs.count -= drop
        error = write_out(epochs)
    pthread_mutex_unlock(&epochs.lock)
    return error


cdef int leader_epochs_clear(LeaderEpochs *epochs) noexcept nogil:
    cdef int error = 0
    pthread_mutex_lock(&epochs.lock)
    if epochs.count > 0:
        epochs.count = 0
        error = write_out(epochs)
    pthread_mutex_unlock(&epochs.lock)
    return error


cdef int32_t leader_epochs_for_offset(LeaderEpochs *epochs, int64_t offset) noexcept nogil:
    cdef int32_t epoch = NONE
    cdef int number
    pthread_mutex_lock(&epochs.lock)
    for number in range(epochs.count):
        if epochs.entries[number].start_offset > offset:
            break
        epoch = epochs.entries[number].epoch
    pthread_mutex_unlock(&epochs.lock)
    return epoch


cdef class LeaderEpochCache:
    """A partition's leader epochs, for tests and tools; the engine uses the C functions.

    Errors: OSError with errno; ValueError when the checkpoint is malformed.
    """
    cdef LeaderEpochs epochs

    def __cinit__(self, folder):
        import os
        cdef int error = leader_epochs_open(&self.epochs, os.fsencode(folder))
        if error < 0:
            raise ValueError(f"{folder}/leader-epoch-checkpoint is malformed")
        if error:
            raise OSError(error, os.strerror(error), f"{folder}/leader-epoch-checkpoint")

    def __dealloc__(self):
        leader_epochs_close(&self.epochs)

    cdef int done(self, int error) except -1:
        import os
        if error:
            raise OSError(error, os.strerror(error), (<bytes>self.epochs.path).decode())
        return 0

    @property
    def entries(self):
        """[(epoch, start offset), ...]"""
        return [(self.epochs.entries[n].epoch, self.epochs.entries[n].start_offset)
                for n in range(self.epochs.count)]

    @property
    def latest(self):
        """The newest epoch, or -1."""
        return leader_epochs_latest(&self.epochs)

    def assign(self, int32_t epoch, int64_t start_offset):
        """The epoch starts at this offset; ignored unless it is newer than the last."""
        self.done(leader_epochs_assign(&self.epochs, epoch, start_offset))

    def end_offset_for(self, int32_t epoch, int64_t log_end_offset):
        """(largest epoch <= the requested one, its end offset), or (-1, -1)."""
        cdef int32_t found
        cdef int64_t offset
        leader_epochs_end_offset(&self.epochs, epoch, log_end_offset, &found, &offset)
        return found, offset

    def epoch_for(self, int64_t offset):
        """The epoch that wrote an offset, or -1."""
        return leader_epochs_for_offset(&self.epochs, offset)

    def truncate_from_end(self, int64_t end_offset):
        """Forgets epochs that start at or above the offset."""
        self.done(leader_epochs_truncate_from_end(&self.epochs, end_offset))

    def truncate_from_start(self, int64_t start_offset):
        """Forgets epochs that end at or below the offset."""
        self.done(leader_epochs_truncate_from_start(&self.epochs, start_offset))

    def clear(self):
        """Forgets everything."""
        self.done(leader_epochs_clear(&self.epochs))

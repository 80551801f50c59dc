# Memory beyond the bound, for one frame of the process at a time: whatever unfinished requests
# hold, some request comes to its end (docs/decisions/0009-one-frame-is-lent-its-memory.md).
from fastlog_ext.plane cimport Connection, Reactor

cdef void lending_open(Reactor *reactor) noexcept nogil
# The starved connection that may take its memory now, or NULL; after its turn comes
# lending_settle.
cdef Connection *lending_choose(Reactor *reactor) noexcept nogil
cdef void lending_settle(Reactor *reactor) noexcept nogil

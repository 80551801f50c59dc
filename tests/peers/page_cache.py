"""What of a file the page cache holds."""

import ctypes
import mmap
import os
import socket
import time
from pathlib import Path

PATIENCE_SECONDS = 30


def cached_pages(path: Path) -> bytes:
    """A byte for each page of the file: 1 where it is in the page cache (mincore(2))."""
    with path.open("r+b") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        mapped = mmap.mmap(file.fileno(), 0)
    pages = -(-len(mapped) // mmap.PAGESIZE)
    resident = ctypes.create_string_buffer(pages)
    view = (ctypes.c_char * len(mapped)).from_buffer(mapped)
    size = ctypes.c_size_t(len(mapped))
    assert ctypes.CDLL(None).mincore(ctypes.byref(view), size, resident) == 0
    del view
    mapped.close()
    return bytes(page & 1 for page in resident.raw[:pages])


def is_cached(path: Path, position: int) -> bool:
    """Whether the page there is in the page cache."""
    return bool(cached_pages(path)[position // mmap.PAGESIZE])


def forget(path: Path, start: int = 0, size: int = 0) -> None:
    """Writes the file to its disk and drops the range from the page cache; 0 is to the end.

    It returns once that is so: the kernel keeps a page while it reads ahead, and while a packet
    holds it that sendfile(2) filled.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    first = -(-start // mmap.PAGESIZE)
    last = (start + size) // mmap.PAGESIZE if size else None
    while True:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_DONTNEED)
        if not any(cached_pages(path)[first:last]):
            return
        assert time.monotonic() < deadline, f"{path} stays in the page cache"
        _let_go_of_packets()


def _let_go_of_packets() -> None:
    """Has each processor free the packets that were read: it keeps them until it sees another."""
    processors = os.sched_getaffinity(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        try:
            for processor in processors:
                os.sched_setaffinity(0, {processor})
                own.sendto(b"", own.getsockname())
                own.recv(1)
        finally:
            os.sched_setaffinity(0, processors)

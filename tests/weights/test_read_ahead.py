"""Files are in the system's memory when the threads that read ahead have ended, and nothing else happened to them."""

import ctypes
import mmap
import os
from pathlib import Path

from videoworker.weights.read_ahead import read_ahead


def forget(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def pages_in_memory(file: Path) -> list[bool]:
    """For each page of the file, by mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, mmap.MAP_PRIVATE) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        pages = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        assert libc.mincore(ctypes.byref(first), ctypes.c_size_t(len(mapped)), pages) == 0
        del first
    return [bool(page & 1) for page in pages]


def test_all_pages_are_there(tmp_path: Path) -> None:
    """Of files larger and smaller than a piece, although one is absent and one is empty."""
    files = [tmp_path / name for name in ("large", "absent", "empty", "small")]
    for file, size in zip(files, (20_000_000, None, 0, 5000), strict=True):
        if size is not None:
            file.write_bytes(os.urandom(size))
            forget(file)
    assert not all(pages_in_memory(files[0]))
    for thread in read_ahead(files):
        thread.join()
    assert all(pages_in_memory(files[0])) and all(pages_in_memory(files[3]))

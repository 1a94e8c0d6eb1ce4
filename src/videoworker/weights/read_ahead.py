"""Has files read into the system's memory before they are asked for, beside whatever the process does meanwhile."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock, Thread

# So many pieces are on their way at a time: a disk or a network gives more than to one who waits for each. Their size
# keeps the way short for what else the process reads.
_THREADS = 4
_PIECE_BYTES = 8 << 20


def read_ahead(files: Sequence[Path]) -> list[Thread]:
    """Starts threads that have the files read in their order. They end with the process at the latest.

    Nothing is copied, so what lies in memory already costs next to nothing. More than half of the machine's memory is
    not filled: else what was read first would have to go before it is used. A file that is absent, or that this process
    may not read, is left to those who need it: they can say so.
    """
    pieces, lock = _pieces([file for file in files if os.access(file, os.R_OK)]), Lock()

    def read() -> None:
        while True:
            with lock:
                piece = next(pieces, None)
            if piece is None:
                return
            _read(*piece)

    threads = [Thread(target=read, name="read ahead", daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    return threads


def _pieces(files: Sequence[Path]) -> Iterator[tuple[Path, int, int]]:
    """Of all files: where each piece begins and ends."""
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    for file in files:
        size = min(file.stat().st_size, room)
        room -= size
        for begin in range(0, size, _PIECE_BYTES):
            yield file, begin, min(begin + _PIECE_BYTES, size)


def _read(file: Path, begin: int, end: int) -> None:
    """Returns when the piece is there."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, begin, end - begin, os.POSIX_FADV_WILLNEED)  # does not wait
        os.pread(descriptor, 1, end - 1)  # waits for the last byte
    finally:
        os.close(descriptor)

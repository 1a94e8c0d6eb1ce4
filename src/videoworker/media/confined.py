"""A program for what a caller has handed in: it has limits on memory and time, and is killed when the job is to stop.

Ownership: the job's thread starts the process and ends it. Bytes go in through memory that both share. They come out in
the same way, so no pipe can fill up; or, if there are too many to hold, through a pipe, whose reader sets the pace. The
process holds nothing of the environment, which has secrets.
"""

import fcntl
import mmap
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CHECK_SECONDS = 0.1
_LONGEST_ANSWER = 65536  # bytes
_PIPE_BYTES = 2**20  # Linux' default for the most that a pipe may hold
_ENVIRONMENT = ("LD_LIBRARY_PATH",)  # what Python itself may need to start


class Overrun(Exception):
    """The program took more than its limits, or crashed."""


@dataclass(frozen=True)
class Limits:
    """Of one run. `seconds` are of the clock, and of CPU time too."""

    memory_bytes: int
    seconds: int


def run(program: Path, data: bytes, limits: Limits, check: Callable[[], None]) -> tuple[bytes, memoryview]:
    """What the Python file `program` says on its standard output, and the bytes that it leaves. They may be written to.

    Its arguments are two descriptors, of a file with `data` and of one for what it leaves. The limits follow, which it
    sets for itself. `check` is called several times a second; what it raises ends the program. Raises `Overrun`.
    """
    target = os.memfd_create("target")
    try:
        with _started([str(program)], data, target, limits) as process:
            answer = _answer(process, limits.seconds, check)
        left = os.fstat(target).st_size
        return answer, memoryview(mmap.mmap(target, left)) if left else memoryview(b"")
    finally:
        os.close(target)


def pieces(
    command: list[str], data: bytes, limits: Limits, check: Callable[[], None], size: int
) -> Iterator[memoryview]:
    """What a program writes, in pieces of `size` bytes, which may be written to. It waits while none is asked for.

    `command` is its file, and words that follow the arguments which `run` gives it, the second of which is a pipe here.
    The limit on the clock holds for each piece. `check` is called several times a second while one is awaited. Raises
    `Overrun`.
    """
    source, target = os.pipe()
    fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        with _started(command, data, target, limits) as process:
            os.close(target)
            target = -1
            while (piece := _piece(source, size, limits.seconds, check)) is not None:
                yield piece
            _await_end(process)
    finally:
        os.close(source)
        if target >= 0:
            os.close(target)


@contextmanager
def _started(command: list[str], data: bytes, target: int, limits: Limits) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, which does not outlive the block."""
    source = os.memfd_create("source")
    try:
        with open(source, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(source, 0, os.SEEK_SET)
        arguments = [str(number) for number in (source, target, limits.memory_bytes, limits.seconds)]
        with subprocess.Popen(
            [sys.executable, "-I", command[0], *arguments, *command[1:]],
            stdin=subprocess.PIPE,  # never written to: it ends with this process, and the program hears that
            stdout=subprocess.PIPE,
            pass_fds=(source, target),
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        ) as process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        os.close(source)


def _answer(process: "subprocess.Popen[bytes]", seconds: float, check: Callable[[], None]) -> bytes:
    """All that the process says until it ends."""
    assert process.stdout is not None
    source, answer, deadline = process.stdout.fileno(), bytearray(), time.monotonic() + seconds
    while said := _read(source, _LONGEST_ANSWER, deadline, check):
        answer += said
        if len(answer) > _LONGEST_ANSWER:
            raise Overrun
    _await_end(process)
    return bytes(answer)


def _piece(source: int, size: int, seconds: float, check: Callable[[], None]) -> memoryview | None:
    """The next `size` bytes; None if there are none at all."""
    piece, deadline = bytearray(), time.monotonic() + seconds
    while len(piece) < size and (some := _read(source, min(size - len(piece), _PIPE_BYTES), deadline, check)):
        piece += some
    if 0 < len(piece) < size:
        raise Overrun
    return memoryview(piece) if piece else None


def _read(source: int, most: int, deadline: float, check: Callable[[], None]) -> bytes:
    """What there is to read, as soon as there is anything; nothing at the end."""
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while True:
            check()
            if time.monotonic() > deadline:
                raise Overrun
            if selector.select(_CHECK_SECONDS):
                return os.read(source, most)


def _await_end(process: "subprocess.Popen[bytes]") -> None:
    try:
        failed = process.wait(_CHECK_SECONDS * 10)
    except subprocess.TimeoutExpired as error:  # it has closed its output, and goes on
        raise Overrun from error
    if failed:
        raise Overrun

"""A program for what a caller has handed in: it has limits on memory and time, and is killed when the job is to stop.

Ownership: the job's thread starts the process and ends it. Bytes go in and out through memory that both share, so no
pipe can fill up. The process holds nothing of the environment, which has secrets.
"""

import mmap
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CHECK_SECONDS = 0.1
_LONGEST_ANSWER = 65536  # bytes
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
    source, target = os.memfd_create("source"), os.memfd_create("target")
    try:
        with open(source, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(source, 0, os.SEEK_SET)
        arguments = [str(number) for number in (source, target, limits.memory_bytes, limits.seconds)]
        with subprocess.Popen(
            [sys.executable, "-I", str(program), *arguments],
            stdin=subprocess.PIPE,  # never written to: it ends with this process, and the program hears that
            stdout=subprocess.PIPE,
            pass_fds=(source, target),
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        ) as process:
            try:
                answer = _answer(process, limits.seconds, check)
            finally:
                process.kill()
        left = os.fstat(target).st_size
        return answer, memoryview(mmap.mmap(target, left)) if left else memoryview(b"")
    finally:
        os.close(source)
        os.close(target)


def _answer(process: "subprocess.Popen[bytes]", seconds: float, check: Callable[[], None]) -> bytes:
    """All that the process says until it ends."""
    assert process.stdout is not None
    answer, deadline = bytearray(), time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            check()
            if time.monotonic() > deadline:
                raise Overrun
            if not selector.select(_CHECK_SECONDS):
                continue
            said = os.read(process.stdout.fileno(), _LONGEST_ANSWER)
            if not said:
                break
            answer += said
            if len(answer) > _LONGEST_ANSWER:
                raise Overrun
    try:
        failed = process.wait(_CHECK_SECONDS * 10)
    except subprocess.TimeoutExpired as error:  # it has closed its output, and goes on
        raise Overrun from error
    if failed:
        raise Overrun
    return bytes(answer)

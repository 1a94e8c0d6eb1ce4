"""What callers without a key can take of an endpoint: `python -m bench.abuse`.

Memory, seconds, sockets and lines of the log under three attacks: a head without an end, sockets that are opened and
left, and more sockets than the process may have descriptors. Each endpoint is a process of its own on a loopback
address, which this program starts and ends.
"""

import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import psutil
import requests
import typer

from bench.servers.attacks import HALF_BODIES, HALF_HEADS, HEALTH, answer, connect, wait_for_close
from bench.servers.endpoint import SERVE, EndpointProcess
from videoworker.http.limits import Limits

MEGABYTE = 2**20
FEW_DESCRIPTORS = 256
LOG = "endpoint.log"


class Attacked:
    """An endpoint, and what an attack takes of it."""

    def __init__(self, endpoint: EndpointProcess) -> None:
        assert endpoint.process is not None
        self.url, self._log = endpoint.url, endpoint.folder / LOG
        self._process = psutil.Process(endpoint.process.pid)
        self._memory, self._descriptors = self._process.memory_info().rss, self._process.num_fds()
        self.slowest_health = 0.0

    @property
    def megabytes(self) -> float:
        """By how much its memory has grown at most."""
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        return max(0, int(peak) * 1024 - self._memory) / MEGABYTE

    @property
    def descriptors(self) -> int:
        """How many more it has open."""
        return self._process.num_fds() - self._descriptors

    @property
    def logged(self) -> int:
        """Bytes."""
        return self._log.stat().st_size

    def ask_health(self) -> None:
        started = time.monotonic()
        requests.get(f"{self.url}/health", timeout=60).raise_for_status()
        self.slowest_health = max(self.slowest_health, time.monotonic() - started)


def main(
    megabytes: Annotated[int, typer.Option(min=1, help="of headers")] = 300,
    sockets: Annotated[int, typer.Option(min=1, help="how many are opened and left")] = 600,
    bodies: Annotated[bool, typer.Option(help="leave sockets in the middle of a body, too")] = True,
    seconds: Annotated[float, typer.Option(min=0.1, help="how long too many sockets are opened")] = 60,
) -> None:
    """Prints one line per attack."""
    with attacked() as endpoint:
        print(endless_head(endpoint, megabytes), flush=True)
        print(half_open(endpoint, "heads", islice(cycle(HALF_HEADS.values()), sockets)), flush=True)
        if bodies:
            print(half_open(endpoint, "bodies", islice(cycle(HALF_BODIES.values()), sockets)), flush=True)
    with attacked(FEW_DESCRIPTORS) as endpoint:
        print(too_few_descriptors(endpoint, seconds), flush=True)


@contextmanager
def attacked(descriptors: int | None = None) -> Iterator[Attacked]:
    """A fresh endpoint that may have so many descriptors."""
    limit = "" if descriptors is None else f"ulimit -n {descriptors}; "
    command = ["sh", "-c", f'{limit}exec "$0" "$@" 2> {LOG}', *SERVE]
    with tempfile.TemporaryDirectory(prefix="abuse-") as folder, EndpointProcess(Path(folder), command) as endpoint:
        endpoint.get("health").raise_for_status()
        yield Attacked(endpoint)


def endless_head(endpoint: Attacked, megabytes: int) -> str:
    line, sent = b"X-Header: " + b"x" * (MEGABYTE - 12) + b"\r\n", 0
    started = time.monotonic()
    with connect(endpoint.url, HEALTH) as sock:
        with suppress(ConnectionError):
            for _ in range(megabytes):
                sock.sendall(line)
                sent += len(line)
        first = answer(sock).partition(b"\r\n")[0].decode() or "no answer"
    took = time.monotonic() - started
    return (
        f"{megabytes} MB of headers: {sent / MEGABYTE:.0f} MB were sent, closed after {took:.2f} s with {first}, "
        f"{endpoint.megabytes:.0f} MB of memory"
    )


def half_open(endpoint: Attacked, what: str, sent: Iterable[bytes]) -> str:
    """A socket for each of `sent`."""
    with ExitStack() as stack:
        started = time.monotonic()
        left = sockets = [stack.enter_context(connect(endpoint.url, one)) for one in sent]
        endpoint.ask_health()
        descriptors = endpoint.descriptors
        while left and time.monotonic() - started < 2 * Limits().body_seconds:
            left = wait_for_close(left, 1.0)
            endpoint.ask_health()
        took = time.monotonic() - started
    return (
        f"{len(sockets)} half {what}: {descriptors} sockets were kept, {len(left)} are open after {took:.1f} s, "
        f"{endpoint.megabytes:.0f} MB of memory, health within {1000 * endpoint.slowest_health:.0f} ms"
    )


def too_few_descriptors(endpoint: Attacked, seconds: float) -> str:
    """Again and again sockets are opened, twice as many as the endpoint may have."""
    logged, opened, started = endpoint.logged, 0, time.monotonic()
    while (took := time.monotonic() - started) < seconds:
        with ExitStack() as stack:
            for _ in range(2 * FEW_DESCRIPTORS):
                stack.enter_context(connect(endpoint.url))
            opened += 2 * FEW_DESCRIPTORS
            endpoint.ask_health()
    return (
        f"{FEW_DESCRIPTORS} descriptors: {opened} sockets were opened in {took:.0f} s, "
        f"{endpoint.logged - logged} bytes of log, {endpoint.megabytes:.0f} MB of memory, "
        f"health within {1000 * endpoint.slowest_health:.0f} ms"
    )


if __name__ == "__main__":
    typer.run(main)

"""What a hostile caller gets of a gateway, and takes of it: `python -m bench.gateway_abuse`.

Every API is attacked by way of the real command, over an endpoint without workers. Each attack prints the statuses that
answered and by how much the process has grown. The program ends with 1 if an answer is none that the documents have, or
if an answer or the log tells a secret or a path, or the log a prompt.
"""

import json
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Annotated

import typer

from bench.servers.attacks import answer, connect
from bench.servers.endpoint import EndpointProcess, guard
from bench.servers.processes import VIDEOWORKER, environment
from videoworker.http.limits import Limits

MEGABYTE = 2**20
PROMPT = "a-prompt-that-nobody-may-log"
TOKEN = "a-token-that-nobody-may-tell"
JSON_APIS = {
    "hunyuanvideo": "/hunyuanvideo/api/generate",
    "hunyuanvideo-1.5": "/hunyuanvideo-1.5/generate",
    "cogvideox": "/cogvideox/generate",
    "openai": "/openai/v1/videos",
}
FOLEY = "/hunyuanvideo-foley/gradio_api"
JSON = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
OPENING = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a.png"\r\n\r\n'

UP = "/..%2f..%2f..%2f..%2fetc%2fpasswd"
PATHS = [
    *(f"/hunyuanvideo/api/videos{UP}", "/hunyuanvideo/api/status/%00", "/hunyuanvideo/../../etc/passwd"),
    *(f"/hunyuanvideo-1.5/videos{UP}.mp4", "/hunyuanvideo-1.5/videos/%2e%2e.mp4"),
    *(f"/local/outputs{UP}", "/local/outputs/..", f"/local/ui/static{UP}", f"/local/static-offline-docs{UP}"),
    *(f"/openai/v1/videos{UP}/content", f"/openai/v1/models{UP}", f"/cogvideox/ui/jobs{UP}"),
    *(f"{FOLEY}/file=/etc/passwd", f"{FOLEY}/file={UP}", f"{FOLEY}/file=../gateway.db", "//etc/passwd"),
]
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "half an object": b"{",
    "no UTF-8": b'{"prompt": "\xff"}',
    "a number too large": b'{"prompt": "x", "fps": 1e999}',
    "no JSON's number": b'{"prompt": "x", "seed": NaN}',
    "a long integer": b'{"prompt": "x", "seed": ' + b"9" * 100_000 + b"}",
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "many values": b"[" + b"1," * 1_000_000 + b"1]",
    "a list": b"[]",
    "a lone surrogate": b'{"prompt": "\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800"}',
}


@dataclass(frozen=True)
class Request:
    """What is sent. `length`: of the body, if it is more than `body`: then the last of it is sent again and again."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None

    @property
    def head(self) -> bytes:
        size = len(self.body) if self.length is None else self.length
        told = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(size), **self.headers}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def chunks(self) -> Iterator[bytes]:
        yield self.body
        for _ in range(((self.length or 0) - len(self.body)) // MEGABYTE):
            yield bytes(MEGABYTE)


class Gateway:
    """The attacked one. It keeps all that it answered."""

    def __init__(self, folder: Path, endpoint_url: str, group: int) -> None:
        self.folder = folder
        command = [*VIDEOWORKER, "gateway", "--api", "all", "--port", "0"]
        given = environment(ENDPOINT_URL=endpoint_url, COGVIDEOX_TOKENS=TOKEN, PROBE_SECONDS="0")
        self._log = (folder / "gateway.log").open("wb")
        self._process = subprocess.Popen(
            command, cwd=folder, env=given, stdout=subprocess.PIPE, stderr=self._log, text=True, process_group=group
        )
        assert self._process.stdout is not None
        (self.url,) = re.findall(r"serving (\S+) with", self._process.stdout.readline())
        self.answers: list[bytes] = []

    def megabytes(self, name: str) -> float:
        """`VmRSS`, what it takes now, or `VmHWM`, what it took at most."""
        (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        return int(kilobytes) / 1024

    def send(self, request: Request) -> int:
        """The status of the answer."""
        with connect(self.url, request.head) as sock:
            _send(sock, request.chunks())
            told = answer(sock)
        self.answers.append(told)
        found = re.match(rb"HTTP/1.1 (\d+)", told)
        return int(found[1]) if found else 0

    def log(self) -> bytes:
        return (self.folder / "gateway.log").read_bytes()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


def main(
    megabytes: Annotated[int, typer.Option(min=25, help="of each upload")] = 200,
    clients: Annotated[int, typer.Option(min=1, help="how many call at once")] = 200,
    slow: Annotated[int, typer.Option(min=0, help="bodies that never end; they take a minute")] = 100,
) -> None:
    """Prints one line per attack."""
    with attacked() as gateway:
        at_first = gateway.megabytes("VmHWM")
        report(gateway, "wrong tokens", wrong_tokens(), {401})
        report(gateway, "paths that lead elsewhere", [Request(path) for path in PATHS], {400, 403, 404, 405})
        report(gateway, "prompts of 20,000 characters", long_prompts(), {400, 422})
        report(gateway, "bodies that are no request", wrong_bodies(), {400, 413, 422})
        report(gateway, "headers of a megabyte", headers(), {431})
        report(gateway, "pages of other sites", foreign_pages(), {403})
        report(gateway, "names of other hosts", foreign_hosts(), {200})
        report(gateway, f"uploads of {megabytes} MB", uploads(megabytes * 1_000_000), {404, 413})
        many_clients(gateway, clients)
        large_bodies(gateway, clients)
        if slow:
            slow_bodies(gateway, slow)
        print(f"peak memory: {at_first:.0f} MB before, {gateway.megabytes('VmHWM'):.0f} MB after")
        gateway.stop()
        sys.exit(leaks(gateway))


@contextmanager
def attacked() -> Iterator[Gateway]:
    """A fresh gateway, over a fresh endpoint."""
    with (
        tempfile.TemporaryDirectory(prefix="gateway-abuse-") as name,
        EndpointProcess(Path(name)) as endpoint,
        guard() as group,
    ):
        yield Gateway(Path(name), endpoint.url, group)


def report(gateway: Gateway, attack: str, requests: Iterable[Request], allowed: set[int]) -> None:
    """Exits if a status is none of the allowed."""
    before, started = gateway.megabytes("VmRSS"), time.monotonic()
    statuses = Counter(gateway.send(request) for request in requests)
    show(attack, statuses, gateway.megabytes("VmRSS") - before, time.monotonic() - started)
    if not statuses.keys() <= allowed:
        sys.exit(f"{attack}: {sorted(allowed)} were expected")


def show(attack: str, statuses: Mapping[int, int], grown: float, seconds: float) -> None:
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"{attack}: {told}; {max(grown, 0):.0f} MB more, {seconds:.1f} s", flush=True)


def wrong_tokens() -> Iterator[Request]:
    body = json.dumps({"prompt": PROMPT}).encode()
    for sent in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}", "Bearer \xff" * 1000):
        yield Request("/cogvideox/generate", "POST", {**JSON, "Authorization": sent}, body)


def long_prompts() -> Iterator[Request]:
    text = PROMPT * (20_000 // len(PROMPT) + 1)
    for path in JSON_APIS.values():
        yield Request(path, "POST", JSON, json.dumps({"prompt": text}).encode())
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    yield Request("/local/generate", "POST", kind, f"prompt={text}&lawful_use_consent=true".encode())


def wrong_bodies() -> Iterator[Request]:
    for path in JSON_APIS.values():
        for body in BODIES.values():
            yield Request(path, "POST", JSON, body)
    for body in (b"", b"--y", OPENING % b"image", b"--x\r\n" * 1000, BODIES["many values"]):
        yield Request("/local/generate", "POST", FORM, body)


def headers() -> Iterator[Request]:
    yield Request("/local/health", headers={"X-One": "x" * MEGABYTE})
    yield Request("/local/health", headers={f"X-{number}": "x" * 100 for number in range(MEGABYTE // 100)})


def foreign_pages() -> Iterator[Request]:
    """The page's own paths. Those of the documents may be called by any site, as they say."""
    of_another = {**JSON, "Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    for name in (*JSON_APIS, "local"):
        yield Request(f"/{name}/ui/jobs", "POST", of_another, json.dumps({"prompt": PROMPT}).encode())


def foreign_hosts() -> Iterator[Request]:
    for name in (*JSON_APIS, "local"):
        yield Request(f"/{name}/ui/", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})


def uploads(length: int) -> Iterator[Request]:
    for path in ("/local/generate", "/openai/v1/videos"):
        yield Request(path, "POST", FORM, OPENING % b"image", length)
    for path in (*JSON_APIS.values(), f"{FOLEY}/queue/join", f"{FOLEY}/call/generate", f"{FOLEY}/upload"):
        yield Request(path, "POST", JSON, b'{"prompt": "', length)


def many_clients(gateway: Gateway, clients: int) -> None:
    """Each submits a job, asks for it and for what there is, all at once."""
    submitted = json.dumps({"prompt": PROMPT}).encode()
    asked = [
        Request("/hunyuanvideo/api/generate", "POST", JSON, submitted),
        Request("/hunyuanvideo/api/jobs?limit=100"),
        Request("/hunyuanvideo-1.5/generate", "POST", JSON, submitted),
        Request("/openai/v1/videos", "POST", JSON, submitted),
        Request("/openai/v1/videos?limit=100"),
        Request("/local/health"),
    ]
    before, started, together = gateway.megabytes("VmRSS"), time.monotonic(), threading.Barrier(clients)

    def call() -> list[int]:
        together.wait()
        return [gateway.send(request) for request in asked]

    with ThreadPoolExecutor(clients) as threads:
        calls = [threads.submit(call) for _ in repeat(None, clients)]
        statuses = Counter(status for one in calls for status in one.result())
    show(f"{clients} clients at once", statuses, gateway.megabytes("VmRSS") - before, time.monotonic() - started)
    if not statuses.keys() <= {200, 202, 503} or statuses[503] > clients:  # the queue of hunyuanvideo-1.5 is full
        sys.exit(f"{clients} clients at once: only the queue of hunyuanvideo-1.5 may be full")


def large_bodies(gateway: Gateway, clients: int) -> None:
    """All but the end of as large a request as there may be, of all clients at once."""
    before, started, together = gateway.megabytes("VmHWM"), time.monotonic(), threading.Barrier(clients)

    def call(number: int) -> int:
        path, kind = ("/local/generate", FORM) if number % 2 else ("/openai/v1/videos", JSON)
        opening = OPENING.split(b"; file")[0] % b"image" + b"\r\n\r\n" if number % 2 else b'{"prompt": "'
        request = Request(path, "POST", kind, opening, 9 * MEGABYTE + len(opening) + 1)
        with connect(gateway.url, request.head) as sock:
            _send(sock, request.chunks())
            together.wait()
            _send(sock, [b"x"])
            told = answer(sock)
        gateway.answers.append(told)
        return int(told[9:12] or 0)

    with ThreadPoolExecutor(clients) as threads:
        statuses = Counter(threads.map(call, range(clients)))
    grown, took = gateway.megabytes("VmHWM") - before, time.monotonic() - started
    show(f"{clients} bodies of 9 MB at once", statuses, grown, took)
    if not statuses.keys() <= {400, 503}:
        sys.exit("large bodies: 400 was expected, or 503 if there are too many")


def slow_bodies(gateway: Gateway, count: int) -> None:
    before, started = gateway.megabytes("VmRSS"), time.monotonic()
    paths = [*JSON_APIS.values(), f"{FOLEY}/queue/join", "/local/generate"]
    kinds = {"/local/generate": FORM}
    sent = [(path, kinds.get(path, JSON)) for path in islice(cycle(paths), count)]
    requests = [Request(path, "POST", kind, b"-", 10 * MEGABYTE) for path, kind in sent]

    def call(request: Request) -> int:
        with connect(gateway.url, request.head + request.body) as sock:
            told = answer(sock)
        return int(told[9:12] or 0)

    with ThreadPoolExecutor(count) as threads:
        statuses = Counter(threads.map(call, requests))
    took = time.monotonic() - started
    show(f"{count} bodies that never end", statuses, gateway.megabytes("VmRSS") - before, took)
    if statuses.keys() != {408} or took > 2 * Limits().body_seconds:
        sys.exit("bodies that never end: 408 was expected in time")


def leaks(gateway: Gateway) -> int:
    """1 if something is told that should not be. Says what."""
    answers, log = b"".join(gateway.answers), gateway.log()
    found = [
        f"{what} in {where}"
        for where, text in (("an answer", answers), ("the log", log))
        for what in (TOKEN, str(gateway.folder), "Traceback", "root:x:0", "evil.example")
        if what.encode() in text
    ] + ["a prompt in the log"] * (PROMPT.encode() in log)
    print(f"{len(gateway.answers)} answers and {len(log)} bytes of log: {'; '.join(found) or 'nothing is leaked'}")
    return 1 if found else 0


def _send(sock: socket.socket, chunks: Iterable[bytes]) -> None:
    """Until the answer is there."""
    with suppress(ConnectionError):
        for chunk in chunks:
            if select.select([sock], [], [], 0)[0]:
                return
            sock.sendall(chunk)


if __name__ == "__main__":
    typer.run(main)

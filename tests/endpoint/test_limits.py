"""What callers may take of an endpoint before it knows who they are: bytes, seconds, connections, lines of the log.

Attacks go over real sockets. The endpoint's deadlines are short.
"""

import logging
import re
import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from bench.servers.attacks import HALF_BODIES, HALF_HEADS, HEALTH, RUN, answer, connect
from bench.servers.endpoint import PATIENCE, SERVE, EndpointProcess, eventually
from bench.servers.worker import Worker
from tests.endpoint.running_endpoint import EndpointHere
from videoworker.endpoint.settings import EndpointSettings
from videoworker.http import body
from videoworker.http.limits import Limits

DEADLINES = Limits(head_seconds=0.5, body_seconds=0.8, unread_seconds=0.5, idle_seconds=1)
BODY_SECONDS = 0.5
MAX_HEAD = Limits().head_bytes
BIG = 32 * 2**20  # of an answer: more than the kernel keeps for a socket


@contextmanager
def endpoint_with(limits: Limits, folder: Path) -> Iterator[EndpointHere]:
    settings = EndpointSettings.model_validate({"database_url": f"sqlite:///{folder}/jobs.db"})
    (folder / "files").mkdir()
    with EndpointHere(settings, folder / "files", limits) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointHere]:
    """With the limits of the product."""
    with endpoint_with(Limits(), tmp_path_factory.mktemp("patient")) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointHere]:
    folder = tmp_path_factory.mktemp("hasty")
    with endpoint_with(DEADLINES, folder) as endpoint, pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "BODY_SECONDS", BODY_SECONDS)
        yield endpoint


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def healthy(endpoint: EndpointHere) -> None:
    """From another address, so that the attack's own does not count."""
    assert health_from(endpoint, "127.0.0.9") == 200


def health_from(endpoint: EndpointHere, source: str) -> int:
    at = urlsplit(endpoint.url)
    assert at.hostname is not None
    caller = HTTPConnection(at.hostname, at.port, PATIENCE, source_address=(source, 0))
    caller.request("GET", f"{at.path}/health")
    status = caller.getresponse().status
    caller.close()
    return status


TOO_LARGE = {
    "one header": HEALTH + b"A: " + MAX_HEAD * b"x" + b"\r\n\r\n",
    "many headers": HEALTH + b"".join(b"A%d: x\r\n" % number for number in range(MAX_HEAD // 4)) + b"\r\n",
    "no end": HEALTH + b"A: x\r\n" * (MAX_HEAD // 5),
    "address": b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (MAX_HEAD * b"x"),
    "method": 2 * MAX_HEAD * b"x",
    "trailers": RUN + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: x\r\n" * (MAX_HEAD // 5),
    "chunk's head": RUN + b"Transfer-Encoding: chunked\r\n\r\n1;" + 2 * MAX_HEAD * b"x",
}


@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE)
def test_too_large(patient: EndpointHere, sent: bytes) -> None:
    with connect(patient.url, sent) as sock:
        received = answer(sock)
    assert statuses(received) == [431]
    assert str(MAX_HEAD) in received.decode()
    healthy(patient)


def test_largest_head(patient: EndpointHere) -> None:
    answered = patient.get("health", headers={"A": "x" * (MAX_HEAD - 1000)})
    assert answered.status_code == 200


@pytest.mark.parametrize("name", ["no end", "address", "trailers", "chunk's head"])
def test_endless(patient: EndpointHere, name: str) -> None:
    """The endpoint stops reading, so the caller's socket takes no more."""
    with connect(patient.url, TOO_LARGE[name][:100]) as sock, pytest.raises(ConnectionError):
        for more in cycle([b"x" * 2**20]):
            sock.sendall(more)


def test_many_chunks(patient: EndpointHere) -> None:
    with connect(patient.url, RUN + b"Transfer-Encoding: chunked\r\n\r\n" + 20_000 * b"1\r\n \r\n") as sock:
        assert statuses(answer(sock)) == [400]


def test_half_open(hasty: EndpointHere) -> None:
    """Each socket is answered and closed, however far its request has come."""
    expected = {
        "nothing": [],
        "half a line": [408],
        "half a head": [408],
        "a TLS hello": [400],
        "half a second head": [200, 408],
        "half a body": [408],
        "half a chunk": [408],
        "half a body for nobody": [404],
        "no second head": [200],
    }
    sent = HALF_HEADS | HALF_BODIES | {"no second head": HEALTH + b"\r\n"}
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(connect(hasty.url, sent[name])) for name in expected}
        assert {name: statuses(answer(sock)) for name, sock in sockets.items()} == expected
    assert hasty.connections == 0


@pytest.mark.parametrize(
    ("before", "byte"),
    [(HEALTH, b"A"), (b"", b"\r"), (RUN + b"Content-Length: 10000\r\n\r\n", b" ")],
    ids=["head", "empty lines", "body"],
)
def test_trickle(hasty: EndpointHere, before: bytes, byte: bytes) -> None:
    """A deadline is for the whole, so bytes that come now and then do not move it."""
    with connect(hasty.url, before) as sock:
        sock.settimeout(0.02)
        received = b""
        for _ in range(1000):
            try:
                sock.sendall(byte)
                more = sock.recv(2**16)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            received += more
            if not more:
                break
        else:
            pytest.fail("it was never closed")
    assert statuses(received) in ([408], [400])


def big_file(endpoint: EndpointHere) -> bytes:
    with (endpoint.files / "big").open("wb") as file:
        file.truncate(BIG)
    return b"GET /files/big HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def big_status(endpoint: EndpointHere) -> bytes:
    return b"GET /v2/local/status/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % big_job(endpoint).encode()


def many_answers(endpoint: EndpointHere) -> bytes:
    return big_status(endpoint) * 20


def big_job(endpoint: EndpointHere) -> str:
    job_id, worker = endpoint.run({}), Worker(endpoint, "w")
    worker.take()
    assert worker.done(job_id, {"output": "x" * 15 * 2**20}) == 200
    return job_id


@pytest.mark.parametrize("request_for", [big_file, big_status, many_answers])
def test_unread(hasty: EndpointHere, request_for: Callable[[EndpointHere], bytes]) -> None:
    """The endpoint breaks off an answer that nobody reads."""
    sent = request_for(hasty)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        at = urlsplit(hasty.url)
        sock.connect((at.hostname, at.port))
        sock.sendall(sent)
        waiting = select.poll()
        waiting.register(sock, 0)
        ((_, event),) = waiting.poll(1000 * PATIENCE)
        assert event & (select.POLLHUP | select.POLLERR)
    healthy(hasty)


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[EndpointHere]:
    """At most eight connections, four of one address."""
    with endpoint_with(Limits(connections=8), tmp_path) as endpoint:
        yield endpoint


@contextmanager
def opened(endpoint: EndpointHere, sent: bytes, *sources: str) -> Iterator[list[socket.socket]]:
    """A connection from each source, one after the other, all of which the endpoint knows."""
    before = endpoint.connections
    with ExitStack() as stack:
        sockets = []
        for number, source in enumerate(sources, 1):
            sockets.append(stack.enter_context(connect(endpoint.url, sent, source)))

            def is_known(count: int = before + number) -> None:
                assert endpoint.connections == count

            eventually(is_known)
        yield sockets


@pytest.mark.parametrize("sent", [b"", HEALTH, HEALTH + b"\r\n"], ids=["nothing", "half a head", "idle"])
def test_too_many_of_one(crowded: EndpointHere, sent: bytes) -> None:
    """The newest takes the place of the oldest."""
    with opened(crowded, sent, *4 * ["127.0.0.1"]) as sockets:
        assert health_from(crowded, "127.0.0.1") == 200
        assert len(statuses(answer(sockets[0]))) == sent.endswith(b"\r\n\r\n")


def test_too_many_at_work(crowded: EndpointHere) -> None:
    """While all of one address wait for an answer, a further one is refused. Another address is answered."""
    with opened(crowded, HALF_BODIES["half a body"], *4 * ["127.0.0.1"]):
        with connect(crowded.url) as sock:
            assert statuses(answer(sock)) == [503]
        healthy(crowded)


def test_too_many_of_all(crowded: EndpointHere) -> None:
    """Who has the most gives one up."""
    few, most = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"), 4 * ["127.0.0.1"]
    with opened(crowded, b"", *few, *most) as sockets:
        healthy(crowded)
        assert answer(sockets[len(few)]) == b""


def test_idle_outlives_unasked(crowded: EndpointHere) -> None:
    """A connection that was of use is kept, though it is the oldest."""
    with opened(crowded, HEALTH + b"\r\n", "127.0.0.1") as (used,), opened(crowded, b"", *3 * ["127.0.0.1"]) as unused:
        used.settimeout(PATIENCE)
        assert statuses(used.recv(2**16)) == [200]
        assert health_from(crowded, "127.0.0.1") == 200
        assert answer(unused[0]) == b""
        used.sendall(HEALTH + b"\r\n")
        assert statuses(used.recv(2**16)) == [200]


UPGRADE = HEALTH + b"Connection: Upgrade, close\r\nUpgrade: %s\r\n\r\n"
NOISE = {
    "no HTTP": (b"\x00\r\n\r\n", [400]),
    "two lengths": (RUN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", [400]),
    "unknown coding": (RUN + b"Transfer-Encoding: gzip\r\n\r\n", [501]),
    "wrong chunk": (RUN + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", [400]),
    "WebSocket": (UPGRADE % b"websocket", [200]),
    "HTTP/2": (UPGRADE % b"h2c", [200]),
}


@pytest.mark.parametrize(("sent", "expected"), NOISE.values(), ids=NOISE)
def test_noise(patient: EndpointHere, caplog: pytest.LogCaptureFixture, sent: bytes, expected: list[int]) -> None:
    """The log has one line at most, however often it comes, and no traceback."""
    for _ in range(20):
        with connect(patient.url, sent) as sock:
            assert statuses(answer(sock)) == expected
    healthy(patient)
    assert len(caplog.records) <= 1
    assert not [record for record in caplog.records if record.exc_info]


def test_noise_after_the_answer(patient: EndpointHere, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        with connect(patient.url, RUN.replace(b"run", b"nothing") + b"Transfer-Encoding: chunked\r\n\r\n") as sock:
            assert statuses(sock.recv(2**16)) == [404]
            sock.sendall(b"x\r\n")
            assert statuses(answer(sock)) == []
    assert not [record for record in caplog.records if record.exc_info]


def test_broken_off(hasty: EndpointHere, caplog: pytest.LogCaptureFixture) -> None:
    """The log says nothing of callers who leave in the middle of a body."""
    for sent in HALF_BODIES.values():
        connect(hasty.url, sent).close()

    def are_gone() -> None:
        assert hasty.connections == 0

    eventually(are_gone)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_no_descriptor_left(tmp_path: Path) -> None:
    """The log has one line about it. Once there are descriptors again, health is answered."""
    log = tmp_path / "log"
    command = ["sh", "-c", f'exec "$0" "$@" 2> {log}', *SERVE]
    with EndpointProcess(tmp_path, command) as program, ExitStack() as stack:
        assert program.get("health").status_code == 200
        assert program.process is not None
        process = psutil.Process(program.process.pid)
        soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
        assert soft == resource.RLIM_INFINITY or soft >= min(hard, 4 * Limits().connections)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 3, hard))
        for _ in range(50):
            stack.enter_context(connect(program.url))

        def is_told() -> None:
            assert "out of system resource" in log.read_text()

        eventually(is_told)
        process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
        assert program.get("health").status_code == 200
        assert log.read_text().count("out of system resource") == 1

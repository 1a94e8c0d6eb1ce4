"""Webhooks as a receiver sees them."""

import http.server
import json
import queue
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from standardwebhooks import Webhook, WebhookVerificationError

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.worker import Worker
from tests.databases import on_sqlite
from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import EndpointHere

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Received:
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.text)
        return body


class Receiver:
    """Answers with the codes of `codes`, one after the other, then with 200."""

    def __init__(self, address: str) -> None:
        self.codes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.received: queue.SimpleQueue[Received] = queue.SimpleQueue()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.send_response(200 if receiver.codes.empty() else receiver.codes.get())
                self.end_headers()
                receiver.received.put(Received(dict(self.headers), text))

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_port}/hook"

    def next(self) -> Received:
        return self.received.get(timeout=PATIENCE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@contextmanager
def receiving(address: str = "127.0.0.1") -> Iterator[Receiver]:
    receiver = Receiver(address)
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def signing(start: Start) -> EndpointHere:
    return start(webhook_secret=SECRET, webhook_retry_seconds=0.1)


def finished(endpoint: EndpointHere, webhook: str, body: dict[str, Any]) -> str:
    job_id = endpoint.run({"prompt": "é"}, webhook=webhook)
    worker = Worker(endpoint, "w1")
    assert worker.take()["webhook"] == webhook
    worker.done(job_id, body)
    return job_id


@on_sqlite
def test_signature(signing: EndpointHere, receiver: Receiver) -> None:
    """A finished job is posted, and the standard's own library accepts the signature."""
    job_id = finished(signing, receiver.url, {"output": {"url": "ü"}})
    received = receiver.next()
    Webhook(SECRET).verify(received.text, dict(received.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(received.text + " ", dict(received.headers))
    assert received.body == signing.status(job_id) | {"input": {"prompt": "é"}, "webhook": receiver.url}


@pytest.mark.parametrize("end", ["error", "cancel", "timeout"])
def test_every_end(start: Start, receiver: Receiver, end: str) -> None:
    endpoint = start(execution_timeout_seconds=10)
    job_id = endpoint.run(1, webhook=receiver.url)
    worker = Worker(endpoint, "w1")
    worker.take()
    match end:
        case "error":
            worker.done(job_id, {"error": "bad"})
        case "cancel":
            endpoint.post(f"cancel/{job_id}")
        case "timeout":
            endpoint.advance(11)
    told = {"error": "FAILED", "cancel": "CANCELLED", "timeout": "TIMED_OUT"}[end]
    received = receiver.next()
    assert received.body["status"] == told
    assert "webhook-signature" not in {name.lower() for name in received.headers}


def test_attempts(signing: EndpointHere, receiver: Receiver) -> None:
    """A receiver that fails is tried three times, each time with the same id."""
    for code in (500, 302, 429):
        receiver.codes.put(code)
    finished(signing, receiver.url, {"output": 1})
    tries = [receiver.next() for _ in range(3)]
    assert len({one.headers["webhook-id"] for one in tries}) == 1
    finished(signing, receiver.url, {"output": 2})
    assert receiver.next().body["output"] == 2  # and no fourth one before it


def test_sent_after_restart(start: Start, receiver: Receiver) -> None:
    """A webhook that could not be sent is sent after the next start."""
    endpoint = start(webhook_retry_seconds=3600)
    receiver.codes.put(500)
    job_id = finished(endpoint, receiver.url, {"output": 1})
    receiver.next()
    endpoint.advance(3600)  # its result is kept until then
    endpoint.stop()
    start()
    assert receiver.next().body["id"] == job_id


@on_sqlite
def test_hosts_that_fail(start: Start, receiver: Receiver) -> None:
    """Hosts that accept a call and never answer, and a host that fails each time, delay nobody else's webhook."""
    endpoint = start(webhook_retry_seconds=3600)
    worker = Worker(endpoint, "w1")
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.2", 0), backlog=64))
        hooks = [f"http://{number}@127.0.0.2:{silent.getsockname()[1]}/" for number in range(20)]
        for _ in range(20):  # each waits for an hour after its first attempt
            receiver.codes.put(500)
        for hook in [receiver.url] * 20 + hooks:
            endpoint.run(1, webhook=hook)
            worker.done(worker.take()["id"], {"output": 1})
        for _ in range(20):
            receiver.next()
        other = stack.enter_context(receiving("127.0.0.3"))
        job_id = finished(endpoint, other.url, {"output": 2})
        assert other.next().body["id"] == job_id


@on_sqlite
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "localhost"]
)
def test_private_webhook(start: Start, host: str) -> None:
    """With API keys, a webhook to a private address is refused by the name of the field."""
    endpoint, holder = start(api_keys="key"), {"Authorization": "Bearer key"}
    answer = endpoint.post("run", {"input": 1, "webhook": f"http://{host}:8000/hook"}, headers=holder)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("webhook: must lead to a public address")
    assert endpoint.get("health", headers=holder).json()["jobs"]["inQueue"] == 0


@on_sqlite
@pytest.mark.parametrize(
    ("settings", "webhook", "code"),
    [
        ({"api_keys": "key"}, "http://1.1.1.1/hook", 200),
        ({"api_keys": "key"}, "http://[2606:4700::1111]/hook", 200),
        # Its addresses cannot be found out now. It is judged again when it is sent.
        ({"api_keys": "key"}, "http://no..name/hook", 200),
        ({"api_keys": "key", "webhook_private_addresses": True}, "http://10.0.0.1/hook", 200),
        ({"webhook_private_addresses": False}, "http://10.0.0.1/hook", 400),
    ],
)
def test_which_webhooks_are_taken(start: Start, settings: dict[str, Any], webhook: str, code: int) -> None:
    endpoint = start(**settings)
    body = {"input": 1, "webhook": webhook}
    assert endpoint.post("run", body, headers={"Authorization": "Bearer key"}).status_code == code


@on_sqlite
def test_name_turned_private(start: Start, receiver: Receiver) -> None:
    """A webhook's name leads to a private address when it is sent: it is not called, and the log says so."""
    webhook = receiver.url.replace("127.0.0.1", "localhost")
    before = start()
    job_id = before.run(1, webhook=webhook)
    before.stop()
    endpoint = start(webhook_private_addresses=False, webhook_retry_seconds=0.1)
    worker = Worker(endpoint, "w1")
    with structlog.testing.capture_logs() as log:
        worker.take()
        assert worker.done(job_id, {"output": 1}) == 200

        def told() -> None:
            assert [entry["error"] for entry in log if entry.get("job_id") == job_id] == ["NotPublicError"]

        eventually(told)
    assert receiver.received.empty()

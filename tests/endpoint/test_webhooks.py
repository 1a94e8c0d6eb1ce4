"""Webhooks as a receiver sees them."""

import http.server
import json
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import PATIENCE, EndpointHere, Worker

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

    def __init__(self) -> None:
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

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def next(self) -> Received:
        return self.received.get(timeout=PATIENCE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
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


def test_a_finished_job_is_posted_with_a_signature_that_the_standards_library_accepts(
    signing: EndpointHere, receiver: Receiver
) -> None:
    job_id = finished(signing, receiver.url, {"output": {"url": "ü"}})
    received = receiver.next()
    Webhook(SECRET).verify(received.text, dict(received.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(received.text + " ", dict(received.headers))
    assert received.body == signing.status(job_id) | {"input": {"prompt": "é"}, "webhook": receiver.url}


@pytest.mark.parametrize("end", ["error", "cancel", "timeout"])
def test_every_end_is_told(start: Start, receiver: Receiver, end: str) -> None:
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


def test_a_receiver_in_trouble_is_tried_three_times_with_one_id(signing: EndpointHere, receiver: Receiver) -> None:
    for code in (500, 302, 429):
        receiver.codes.put(code)
    finished(signing, receiver.url, {"output": 1})
    tries = [receiver.next() for _ in range(3)]
    assert len({one.headers["webhook-id"] for one in tries}) == 1
    finished(signing, receiver.url, {"output": 2})
    assert receiver.next().body["output"] == 2  # and no fourth one before it


def test_a_webhook_that_could_not_be_sent_is_sent_after_a_restart(start: Start, receiver: Receiver) -> None:
    endpoint = start(webhook_retry_seconds=3600)
    receiver.codes.put(500)
    job_id = finished(endpoint, receiver.url, {"output": 1})
    receiver.next()
    endpoint.advance(3600)  # its result is kept until then
    endpoint.stop()
    start()
    assert receiver.next().body["id"] == job_id

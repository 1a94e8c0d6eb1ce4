"""Each API's OpenAPI document against what it answers, as schemathesis finds it.

A call that breaks the document must be refused, and one that keeps it must not. Every answer must be a documented one.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from click.testing import CliRunner
from schemathesis.cli import schemathesis as cli

from bench.servers.worker import FakeWorker
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint
from videoworker.apis.text import cleaned

TOKEN = "a-token"
CONFIG = Path(__file__).with_name("schemathesis.toml")


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """A prompt is counted after it is cleaned. No schema can say so."""
    prompt = body.get("prompt") if isinstance(body, dict) else None
    return not isinstance(prompt, str) or cleaned(prompt) == prompt


@pytest.fixture
def finishing(worker: FakeWorker, endpoint: FaultyEndpoint) -> Iterator[None]:
    """Every job is finished at once."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            answer = worker.poll()
            if answer.status_code == 200:
                worker.finish(answer.json())

    serving = threading.Thread(target=serve)
    serving.start()
    yield
    ended.set()
    endpoint.run({"api": "native", "prompt": "the last one"})  # for which it waits
    serving.join()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hunyuanvideo", []),
        ("hunyuanvideo-1.5", []),
        ("cogvideox", ["--header", f"Authorization: Bearer {TOKEN}"]),
        # A file must be a picture, and some fields exclude others. No schema can say so.
        ("local", ["--exclude-checks", "positive_data_acceptance"]),
        ("openai", ["--exclude-checks", "positive_data_acceptance"]),
    ],
)
def test_document(start: Start, finishing: None, name: str, options: list[str]) -> None:
    gateway = start(name, cogvideox_tokens=TOKEN, hunyuan_max_queue_size=1000)
    ended = CliRunner().invoke(cli, ["--config-file", str(CONFIG), "run", f"{gateway.url}/openapi.json", *options])
    assert ended.exit_code == 0, ended.output

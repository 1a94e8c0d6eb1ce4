"""The worker's log."""

import json
import logging
import subprocess
import sys
import warnings

import pytest
import structlog
from runpod import RunPodLogger

from tests.handler_process import environment
from videoworker.worker import log


def test_on_the_platform_every_entry_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(on_platform=True)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger().exception("it broke", job_id="a")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["job_id"]) == ("it broke", "error", "a")
    assert "ValueError: two\nlines" in entry["exception"]


def test_other_packages_are_heard_in_the_same_form_and_not_of_every_request(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(on_platform=True)
    for name in ("httpx", "httpx2", "botocore", "anything"):
        logging.getLogger(name).info("GET https://bucket/video.mp4?X-Amz-Signature=feedbeef")
        logging.getLogger(name).warning("slow: %s", name)
    with structlog.contextvars.bound_contextvars(job_id="a"):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [entry["event"] for entry in entries[:4]] == [
        f"slow: {name}" for name in ("httpx", "httpx2", "botocore", "anything")
    ]
    assert all(entry["level"] == "warning" for entry in entries)
    assert "DeprecationWarning: old" in entries[4]["event"] and entries[4]["job_id"] == "a"


def test_on_a_terminal_an_entry_reads_as_words(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(on_platform=False)
    structlog.get_logger().info("serving", model="sketch")
    line = capsys.readouterr().err
    assert "serving" in line and "model=sketch" in line and not line.startswith("{")


# A worker whose log cannot be written.
UNHEARD = """
import logging, structlog
from videoworker.worker import log
log.configure(on_platform=True)
structlog.get_logger().info("job started")
logging.getLogger("anything").warning("slow")
print("went on")
"""


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", UNHEARD]
        worker = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, env=environment())
    assert worker.stdout == "went on\n"


@pytest.mark.parametrize(("asked", "level"), [({}, "INFO"), ({"RUNPOD_LOG_LEVEL": "DEBUG"}, "DEBUG")])
def test_the_sdk_prints_no_jobs_unless_the_operator_asks_for_them(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], level: str
) -> None:
    monkeypatch.setattr(RunPodLogger, "level", "DEBUG")
    for name in ("RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    log.configure(on_platform=False)
    assert RunPodLogger().level == level

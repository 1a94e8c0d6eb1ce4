"""The handler under the SDK's own worker loop, against the platform's wire protocol."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_platform import PATIENCE, FakePlatform

WORKER = str(Path(__file__).with_name("fake_worker.py"))


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    """A platform whose worker is ready for jobs and gone afterwards."""
    root = Path(__file__).resolve().parents[2]
    with FakePlatform() as platform:
        note = {"NOTE_URL": platform.url, "PYTHONPATH": f"{root / 'src'}:{root}"}
        with platform.worker(sys.executable, WORKER, environment=note) as process:
            yield platform
            process.send_signal(signal.SIGTERM)
            platform.close()
            assert process.wait(PATIENCE) == 0


def test_progress_arrives_in_order_and_only_before_the_result(platform: FakePlatform) -> None:
    platform.submit("a", {"prompt": "until 3 progress"})
    assert platform.result("a")["output"]["status"] == "completed"
    platform.submit("b", {"prompt": "one step"})
    platform.result("b")  # whatever of job a was still under way had the time of job b to arrive

    reports = [event.body for event in platform.events if (event.kind, event.job_id) == ("progress", "a")]
    assert len(reports) >= 3
    assert all(report["status"] == "processing" and report["job_id"] == "a" for report in reports)
    steps = [report["step"] for report in reports]
    assert steps == sorted(set(steps))
    of_a = [kind for kind, job in platform.kinds() if job == "a"]
    assert of_a[-1] == "result"


def test_a_report_that_is_on_its_way_reaches_the_platform_before_the_result(platform: FakePlatform) -> None:
    platform.hold("progress", "a")
    platform.submit("a", {"prompt": "until 1 progress"})
    platform.wait("left", "a")
    platform.release("progress", "a")
    platform.result("a")
    happened = [kind for kind, _ in platform.kinds(without=("stop-poll", "step"))]
    assert happened.index("progress") < happened.index("answered") < happened.index("result")


def test_a_cancelled_job_stops_within_a_step_and_the_next_starts_only_then(platform: FakePlatform) -> None:
    platform.hold("step", "a")
    platform.submit("a", {"prompt": "for ever"})
    platform.submit("b", {"prompt": "one step"})
    platform.wait("step", "a")
    polls = sum(event.kind == "stop-poll" for event in platform.events)
    answers = [("a",), ("a",), (), (), ()]  # the platform repeats itself, then leaves the SDK time to look for work
    for job_ids in answers:
        platform.stop(*job_ids)
    platform.wait("stop-poll", count=polls + len(answers))
    assert ("take", "b") not in platform.kinds()
    platform.release("step", "a")
    assert "output" in platform.result("b")

    happened = platform.kinds(without=("stop-poll", "progress", "answered"))
    assert happened.count(("step", "a")) == 1
    assert happened.index(("left", "a")) < happened.index(("take", "b"))
    assert ("result", "a") not in happened


def test_every_job_gets_a_result_whatever_its_input_or_answer(platform: FakePlatform) -> None:
    nested: object = []
    for _ in range(500):
        nested = [nested]
    junk: list[object] = [
        None,
        [],
        {},
        "text",
        5,
        True,
        {"prompt": None},
        {"prompt": nested},
        {"api": {}},
        {"\ud800": "\ud800"},
    ]
    for index, job_input in enumerate(junk):
        platform.submit(f"junk-{index}", job_input)
    # answers that the SDK cannot encode, and would lose without a word
    platform.submit("nan", {"prompt": "not a number"})
    platform.submit("surrogate", {"prompt": "unspeakable"})

    for index in range(len(junk)):
        assert json.loads(platform.result(f"junk-{index}")["error"])["code"].startswith("INVALID_")
    for job_id in ("nan", "surrogate"):
        assert json.loads(platform.result(job_id)["error"])["code"] == "GENERATION_FAILED"

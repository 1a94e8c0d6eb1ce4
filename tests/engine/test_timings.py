"""What is kept of how long jobs took, in a file that workers share."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from videoworker.engine.timings import Timings, timings_file
from videoworker.planning.pace import KEPT, Measured
from videoworker.planning.work import Part
from videoworker.settings import Settings

DENOISE = (Part("denoise", "denoise sketch", (10.0,)),)


def took(seconds: float, pace: str = "denoise sketch") -> dict[str, Measured]:
    return {pace: Measured(seconds, (10.0,))}


def expected(timings: Timings) -> float | None:
    found = timings.pace.expected(DENOISE)
    return None if found is None else found["denoise"]


def test_it_outlives_its_process(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    Timings(path, "an H100").add(took(20.0))
    assert expected(Timings(path, "an H100")) == pytest.approx(20.0)
    assert expected(Timings(path, "an A40")) is None


def add_many(path: Path, worker: int) -> None:
    timings = Timings(path, "an H100")
    for number in range(KEPT):
        timings.add(took(1.0, f"{worker} {number}"))


def test_workers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path, workers = tmp_path / "timings.json", 4
    with ProcessPoolExecutor(workers, get_context("fork")) as pool:
        list(pool.map(add_many, [path] * workers, range(workers)))
    known = Timings(path, "an H100").pace
    for name in (f"{worker} {number}" for worker in range(workers) for number in range(KEPT)):
        assert known.expected((Part("denoise", name, (10.0,)),)) is not None


def test_newer_jobs_push_out_old_ones(tmp_path: Path) -> None:
    timings = Timings(tmp_path / "timings.json", "an H100")
    for seconds in [1.0] * KEPT + [7.0] * KEPT:
        timings.add(took(seconds))
    assert expected(timings) == pytest.approx(7.0)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"an H100": {"denoise sketch": [{"seconds": NaN, "amounts": [10]}]}}', '{"an H100": 1}', "\xff"],
    ids=["empty", "cut off", "a list", "not a number", "no paces", "not UTF-8"],
)
def test_broken_file(tmp_path: Path, content: str) -> None:
    """It is told, and replaced after the next job."""
    path = tmp_path / "timings.json"
    path.write_text(content, "latin-1")
    with capture_logs() as told:
        timings = Timings(path, "an H100")
    assert [line["event"] for line in told] == ["timings cannot be read"]
    assert expected(timings) is None
    timings.add(took(3.0))
    assert expected(Timings(path, "an H100")) == pytest.approx(3.0)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Then it is learnt for as long as the process lives."""
    path = tmp_path / "gone" / "timings.json"
    timings = Timings(path, "an H100")
    with capture_logs() as told:
        timings.add(took(3.0))
        timings.add(took(3.0))
    assert [line["event"] for line in told] == ["timings are kept in memory alone"]
    assert expected(timings) == pytest.approx(3.0)
    assert os.listdir(tmp_path) == []


def test_where_it_lies(tmp_path: Path) -> None:
    """On the network volume, which outlives a container, if there is one with weights."""
    settings = Settings(weights_dir=tmp_path / "here", network_volume=tmp_path / "volume", keep_timings=True)
    assert timings_file(settings) == tmp_path / "here" / "timings.json"
    (tmp_path / "volume" / "weights").mkdir(parents=True)
    assert timings_file(settings) == tmp_path / "volume" / "weights" / "timings.json"
    assert timings_file(settings.model_copy(update={"keep_timings": False})) is None

"""The real entry point on the platform's wire protocol, with a small checkpoint: its checks, its log, its metrics."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from builder.tiny import cogvideox
from tests.fake_platform import PATIENCE, FakePlatform
from tests.handler_process import ROOT, environment
from videoworker import __version__

HANDLER = str(ROOT / "handler.py")
PROMPT, SIGNATURE, KEY = "a-very-private-prompt", "X-Amz-Signature=feedbeef", "key-of-a-bucket"
JOB = {"prompt": PROMPT, "num_frames": 2, "width": 128, "height": 128, "num_inference_steps": 1}


@dataclass(frozen=True)
class Done:
    """What a worker left: results by job, what it printed, its metrics, and the keys that it sent with its calls."""

    results: dict[str, dict[str, Any]]
    stdout: str
    stderr: str
    metrics: dict[tuple[str, str], float]
    keys: set[tuple[str, str]]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The log from where the worker begins to serve: while weights load, the libraries print lines of their own."""
        _, _, serving = self.stderr.partition('"event": "Model loaded successfully"')
        return [json.loads(line) for line in serving.splitlines()[1:]]


@pytest.fixture(scope="module")
def held_port() -> Iterator[socket.socket]:
    """A port that nobody else is given meanwhile: it is bound here and not listened at, which a server may do."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, held_port: socket.socket) -> Iterator[Done]:
    """One worker for all tests of this file: a video, and jobs that fail and hold what must not be told. Its home has
    keys for other services, and its environment a proxy for them."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / ".runpod").mkdir()
    (folder / ".runpod" / "config.toml").write_text('[default]\napi_key = "of-an-account"\n')
    (folder / ".netrc").write_text("default login someone password of-someone\n")
    cogvideox.save(folder / "weights" / "sketch", "sketch")
    port = held_port.getsockname()[1]
    settings = {
        "WEIGHTS_DIR": str(folder / "weights"),
        "OUTPUT_DIR": str(folder / "made"),
        "DELIVERY": "file",
        "METRICS_PORT": str(port),
        "ALLOW_PRIVATE_URLS": "1",
        "HOME": str(folder),
        "http_proxy": "http://127.0.0.1:9",
    }
    stdout, stderr = folder / "stdout", folder / "stderr"
    with FakePlatform() as platform:
        jobs: dict[str, dict[str, Any]] = {
            "made": {"job_input": JOB, "delayTime": 1500},
            "image": {"job_input": JOB | {"image": f"{platform.url}/a.png?{SIGNATURE}"}},
            "bucket": {
                "job_input": JOB,
                "s3Config": {"accessId": KEY, "accessSecret": KEY, "bucketName": "b", "endpointUrl": "https://b.test"},
            },
        }
        with (
            stdout.open("wb") as out,
            stderr.open("wb") as err,
            platform.worker(
                sys.executable, HANDLER, environment=environment(**settings), stdout=out, stderr=err
            ) as process,
        ):
            for job_id, job in jobs.items():
                platform.submit(job_id, **job)
            results = {job_id: platform.result(job_id) for job_id in jobs}
            scraped = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    metrics = {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(scraped)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }
    yield Done(results, stdout.read_text(), stderr.read_text(), metrics, platform.keys)


def test_the_worker_serves_what_it_can_and_says_what_it_cannot(done: Done) -> None:
    assert Path(done.results["made"]["output"]["video_url"].removeprefix("file://")).is_file()
    assert json.loads(done.results["image"]["error"])["code"] == "INVALID_IMAGE"
    assert "s3Config" in done.results["bucket"]["error"]


def test_the_platform_gets_its_own_key_alone(done: Done) -> None:
    assert done.keys == {(operation, "key") for operation in ("job-take", "job-stop", "job-done", "ping")}


def test_the_log_says_which_version_serves(done: Done) -> None:
    (line,) = [line for line in done.stderr.splitlines() if '"event": "Model loaded successfully"' in line]
    assert json.loads(line)["version"] == __version__


def test_the_log_is_one_object_of_json_a_line_with_job_stage_seconds_and_sizes(done: Done) -> None:
    of_job = [entry for entry in done.entries if entry.get("job_id") == "made"]
    assert [entry["event"] for entry in (of_job[0], of_job[-1])] == ["job started", "job finished"]
    stages = {entry["stage"]: entry["seconds"] for entry in of_job if entry["event"] == "stage ended"}
    assert list(stages) == ["encode_prompt", "denoise", "decode", "encode"]
    video = done.results["made"]["output"]["video"]
    finished = of_job[-1]
    assert finished["seconds"] == done.results["made"]["output"]["timings"]
    assert {key: finished[key] for key in ("width", "height", "num_frames", "file_size")} == {
        key: video[key] for key in ("width", "height", "num_frames", "file_size")
    }
    failed = {entry["job_id"]: entry["code"] for entry in done.entries if entry["event"] == "job failed"}
    assert failed["image"] == "INVALID_IMAGE" and set(failed) == {"image", "bucket"}


@pytest.mark.parametrize("secret", [PROMPT, SIGNATURE, KEY])
def test_nothing_private_is_printed(done: Done, secret: str) -> None:
    assert "job finished" in done.stderr and "Finished" in done.stdout
    assert secret not in done.stdout + done.stderr


def test_the_metrics_count_jobs_failures_stages_and_the_wait(done: Done) -> None:
    metrics = done.metrics
    assert metrics["videoworker_jobs_total", "completed"] == 1
    assert metrics["videoworker_jobs_total", "failed"] == 2
    assert metrics["videoworker_failures_total", "INVALID_IMAGE"] == 1
    timings = done.results["made"]["output"]["timings"]
    for stage, seconds in timings.items():
        assert metrics["videoworker_stage_seconds_count", stage] == 1
        assert metrics["videoworker_stage_seconds_sum", stage] == pytest.approx(seconds)
    assert metrics["videoworker_queue_wait_seconds_sum", ""] == 1.5


def test_a_worker_whose_model_has_no_weights_tells_the_platform_why_takes_no_job_and_ends(tmp_path: Path) -> None:
    settings = {"MODEL": "mochi", "WEIGHTS_DIR": str(tmp_path), "NETWORK_VOLUME": str(tmp_path)}
    with (
        FakePlatform() as platform,
        platform.worker(sys.executable, HANDLER, environment=environment(**settings)) as process,
    ):
        platform.submit("waiting", JOB)
        told = platform.wait("unhealthy").body
        assert process.wait(PATIENCE) == 1
        assert platform.kinds(without=()) == [("unhealthy", "")]
    assert told["check"] == "weights" and "videoworker fetch mochi" in told["reason"]

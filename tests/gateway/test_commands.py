"""`videoworker serve --api` and `videoworker gateway` as their users meet them, and as they are killed."""

import random
import re
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from bench.servers.endpoint import PATIENCE, eventually, guard
from bench.servers.processes import VIDEOWORKER, environment
from bench.servers.worker import VIDEO, FakeWorker
from tests.gateway.running_gateway import FaultyEndpoint

# As docs/gateway.md prints it.
BODY = '{"prompt": "a star", "width": 256, "height": 256, "video_length": 25}'
CALL = f"curl -sf URL/api/generate --json '{BODY}'"


@contextmanager
def running(folder: Path, *command: str, **settings: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A command's process and the URL at which it serves APIs. The process is killed with the block."""
    with guard() as group:
        process = subprocess.Popen(
            [*VIDEOWORKER, *command],
            cwd=folder,
            env=environment(OMP_NUM_THREADS="1", **settings),
            stdout=subprocess.PIPE,
            text=True,
            process_group=group,
        )
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        url = next(found[1] for line in lines if (found := re.match(r"serving (\S+) with hunyuan", line)))
        yield url, process
    process.wait()


@pytest.mark.needs_curl
@pytest.mark.needs_ffmpeg
def test_serve(tmp_path: Path, image_checkpoint: Path) -> None:
    """Gateway, endpoint and a worker with a model, by one command: from a call to a file that plays."""
    command = ["serve", "--api", "hunyuanvideo", "--api", "hunyuanvideo-1.5", "--port", "0"]
    weights = {"WEIGHTS_DIR": str(image_checkpoint.parent), "MODEL": "sketch"}
    with running(tmp_path, *command, **weights) as (base, process):
        url = f"{base}/hunyuanvideo"

        def called() -> str:
            call = CALL.replace("URL", url)
            done = subprocess.run(shlex.split(call), capture_output=True, text=True)
            assert done.returncode == 0, requests.get(f"{url}/health", timeout=PATIENCE).text
            return done.stdout

        assert requests.get(f"{base}/ping", timeout=PATIENCE).status_code == 204
        early = requests.post(f"{url}/api/generate", json={"prompt": "a star"}, timeout=PATIENCE)
        assert early.status_code == 503 and early.json()["detail"].startswith("Model not initialized yet.")
        path = re.findall(r'"check_status_url":"(.+?)"', eventually(called))[0]
        assert requests.get(f"{base}/ping", timeout=PATIENCE).status_code == 200

        def completed() -> str:
            status = requests.get(f"{url}{path}", timeout=PATIENCE).json()
            assert status["status"] == "completed", status
            return f"{url}{status['video_url']}"

        video = requests.get(eventually(completed), timeout=PATIENCE)
        (tmp_path / "video.mp4").write_bytes(video.content)
        probe = "ffprobe -v error -show_entries stream=nb_frames,width -of csv=p=0 video.mp4"
        shown = subprocess.run(shlex.split(probe), cwd=tmp_path, capture_output=True, text=True)
        assert shown.stdout.strip() == "256,25"
        assert not any((tmp_path / "outputs").iterdir())  # it is the gateway's now
        health = requests.get(f"{base}/hunyuanvideo-1.5/health", timeout=PATIENCE).json()
        assert (health["model_loaded"], health["gpu_available"], health["stale"]) == (True, False, False)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_killed_gateway(tmp_path: Path, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """kill -9 at random moments while callers submit: every accepted job ends, and the endpoint has each once."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    accepted: list[str] = []
    ended, served = threading.Event(), set[str]()

    def serve_jobs() -> None:
        while not ended.is_set():
            for job in worker.take_batch(5) if endpoint.get("health").json()["jobs"]["inQueue"] else []:
                served.add(job["input"]["prompt"])
                worker.finish(job)

    command = ["gateway", "--api", "hunyuanvideo", "--port", "0"]
    serving = threading.Thread(target=serve_jobs)
    serving.start()
    try:
        for round_number in range(2):
            with running(tmp_path, *command, ENDPOINT_URL=endpoint.url) as (url, process):
                for number in range(chance.randrange(3, 12)):
                    body = {"prompt": f"{round_number} {number}"}
                    accepted.append(requests.post(f"{url}/api/generate", json=body, timeout=PATIENCE).json()["job_id"])
                killer = threading.Timer(chance.random() * 0.2, process.kill)
                killer.start()
                try:
                    while True:
                        body = {"prompt": "in flight"}
                        requests.post(f"{url}/api/generate", json=body, timeout=PATIENCE).raise_for_status()
                except requests.ConnectionError:
                    pass
        with running(tmp_path, *command, ENDPOINT_URL=endpoint.url) as (url, _):

            def all_completed() -> None:
                jobs = requests.get(f"{url}/api/jobs?limit=100", timeout=PATIENCE).json()["jobs"]
                assert {job["status"] for job in jobs} == {"completed"}

            eventually(all_completed)
            for job_id in accepted:
                assert requests.get(f"{url}/api/videos/{job_id}.mp4", timeout=PATIENCE).content == VIDEO
    finally:
        ended.set()
        serving.join()


def test_ports(tmp_path: Path, endpoint: FaultyEndpoint) -> None:
    """As a load-balancing endpoint of RunPod sets them: one for callers, one for its question."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        health = sock.getsockname()[1]
    ports = {"PORT": "0", "PORT_HEALTH": str(health)}
    with running(tmp_path, "gateway", "--api", "hunyuanvideo", ENDPOINT_URL=endpoint.url, **ports) as (url, _):
        for base in (url, f"http://127.0.0.1:{health}"):
            assert requests.get(f"{base}/ping", timeout=PATIENCE).status_code == 200
        given = environment(ENDPOINT_URL=endpoint.url, **ports)
        second = subprocess.run(
            [*VIDEOWORKER, "gateway", "--api", "hunyuanvideo"], env=given, capture_output=True, text=True
        )
    assert (second.returncode, second.stderr[:12]) == (1, "PORT_HEALTH:")


@pytest.mark.parametrize(
    ("options", "settings", "told"),
    [
        (["--api", "unheard"], {"ENDPOINT_URL": "http://127.0.0.1:1"}, "--api"),
        (["--api", "hunyuanvideo"], {}, "ENDPOINT_URL"),
        (
            ["--api", "hunyuanvideo"],
            {"ENDPOINT_URL": "http://x", "GATEWAY_DATABASE_URL": "sqlite:////dev/null/x"},
            "GATEWAY_DATABASE_URL",
        ),
        (["--api", "hunyuanvideo", "--host", "192.0.2.1"], {"ENDPOINT_URL": "http://x"}, "--host"),
    ],
)
def test_unusable_settings(tmp_path: Path, options: list[str], settings: dict[str, str], told: str) -> None:
    """It ends at once, with one line that names the setting."""
    command = [*VIDEOWORKER, "gateway", "--port", "0", *options]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(**settings), capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert told in line

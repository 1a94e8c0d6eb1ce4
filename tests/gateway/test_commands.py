"""`videoworker serve --api` as its users meet it."""

import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from bench.servers.endpoint import PATIENCE, eventually, guard
from bench.servers.processes import VIDEOWORKER, environment
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

"""The client programs that the APIs' documents print, against a worker that answers at once. `bench.programs` runs them
against one that makes videos.

The tests of each API call what they call too, for where the documents are not.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.programs import BASE_URLS, DOCUMENTS, LEAVE_A_VIDEO, TOKEN, Clip, programs, run_all
from bench.servers.endpoint import PATIENCE
from bench.servers.worker import FakeWorker
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint


@contextmanager
def at_work(worker: FakeWorker, content: bytes) -> Iterator[None]:
    """The worker takes every job that comes, and delivers `content` for it."""
    worker.content, ended = content, threading.Event()

    def work() -> None:
        while not ended.is_set():
            answer = worker.poll()
            if answer.status_code == 200:
                worker.finish(answer.json())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    ended.set()


if DOCUMENTS.exists():

    @pytest.mark.needs_curl
    @pytest.mark.needs_jq
    @pytest.mark.needs_bc
    @pytest.mark.needs_axios
    @pytest.mark.needs_ffmpeg
    def test_programs(start: Start, endpoint: FaultyEndpoint, worker: FakeWorker, tmp_path: Path) -> None:
        """Under prefixes, so that relative and absolute URLs are told apart."""
        video = tmp_path / "made.mp4"
        colour = ["-f", "lavfi", "-i", "color=red:size=64x64:duration=1", "-pix_fmt", "yuv420p"]
        subprocess.run(["ffmpeg", "-v", "error", *colour, video], check=True)
        gateway = start(*BASE_URLS, hunyuan_max_queue_size=100, cogvideox_tokens=TOKEN)
        work = [program for api in BASE_URLS for program in programs(api)]
        with at_work(worker, video.read_bytes()):
            made = list(run_all(gateway.url, work, tmp_path, PATIENCE))
        assert sorted((program.api, program.language) for program, clips in made if clips) == LEAVE_A_VIDEO
        assert all(clips in ([], [Clip("h264", 64, 64, 25)]) for _, clips in made)

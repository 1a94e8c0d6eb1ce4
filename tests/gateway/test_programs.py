"""The client programs that the APIs' documents print, run as printed but for the base URL and literal ids.

They are not in this repository. They are read from the documents, if those lie beside it in `shared/api`. The tests of
each API call what they call too.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from bench.servers.endpoint import PATIENCE
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FakeWorker, FaultyEndpoint, GatewayHere
from tests.handler_process import ROOT

DOCUMENTS = ROOT.parent / "shared" / "api"
FILES = {"local": "local-video-service.md"}  # those that do not have their API's name
BASE_URLS = {
    "hunyuanvideo": "https://your-service-name.onrender.com",
    "hunyuanvideo-1.5": "http://localhost:8000",
    "local": "http://localhost:8000",
    "cogvideox": "http://localhost:9000",
}
LITERAL_IDS = {
    "hunyuanvideo": "550e8400-e29b-41d4-a716-446655440000",
    "hunyuanvideo-1.5": "uuid-1234-5678",
    "local": "20250127_143022_serene_lake",
}
TOKEN = "a-token"
LITERAL_PICTURE = "/path/to/image.jpg"
# Those that leave a video. The others only print.
LEAVE_A_VIDEO = [
    ("cogvideox", "bash"),
    ("hunyuanvideo", "bash"),
    ("hunyuanvideo", "bash"),
    ("hunyuanvideo", "javascript"),
    ("hunyuanvideo", "python"),
    ("hunyuanvideo-1.5", "bash"),
    ("hunyuanvideo-1.5", "javascript"),
    ("hunyuanvideo-1.5", "python"),
    ("local", "bash"),
    ("local", "python"),
]
RUN = {"python": [sys.executable], "javascript": ["node"], "bash": ["bash", "-e"]}
SUFFIXES = {"python": "py", "javascript": "cjs", "bash": "sh"}


@dataclass(frozen=True)
class Program:
    """A fenced block that makes, or fetches, a video."""

    api: str
    language: str
    text: str

    def run(self, base_url: str, job_id: str, folder: Path) -> list[str]:
        """What ffprobe says of each file that it leaves: the codec."""
        folder.mkdir()
        picture = folder / "picture.jpg"
        Image.new("RGB", (64, 64), "red").save(picture)
        text = self.text.replace(BASE_URLS[self.api], base_url).replace(LITERAL_IDS.get(self.api, "no id"), job_id)
        text = text.replace(LITERAL_PICTURE, str(picture))
        file = folder / f"program.{SUFFIXES[self.language]}"
        file.write_text(text)
        process = subprocess.run(
            [*RUN[self.language], file.name],
            cwd=folder,
            env=os.environ | {"VALID_TOKEN": TOKEN, "NODE_PATH": str(ROOT / "builder" / "npm" / "node_modules")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert process.returncode == 0, text + process.stdout + process.stderr
        return [codec(path) for path in folder.glob("*.mp4")]


def programs(api: str) -> list[Program]:
    text = (DOCUMENTS / FILES.get(api, f"{api}.md")).read_text("utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Program(api, language, block) for language, block in blocks if language in RUN and BASE_URLS[api] in block]


def codec(path: Path) -> str:
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(path)]
    return subprocess.run(probe, capture_output=True, text=True).stdout.strip()


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


def make(gateway: GatewayHere, api: str) -> str:
    """The id of a job that is done, for the programs that name one. With `local`, it is the name of its file."""
    if api == "local":
        form = {"prompt": "a cat", "lawful_use_consent": "true"}
        return Path(gateway.post("/local/generate", data=form).json()["video_url"]).stem
    generate, told, status = {
        "hunyuanvideo": ("/api/generate", "job_id", "/api/status"),
        "hunyuanvideo-1.5": ("/generate", "task_id", "/status"),
    }[api]
    job_id: str = gateway.post(f"/{api}{generate}", {"prompt": "a cat on the grass"}).json()[told]
    gateway.until(f"/{api}{status}/{job_id}", status="completed")
    return job_id


if DOCUMENTS.exists():

    @pytest.mark.needs_curl
    @pytest.mark.needs_jq
    @pytest.mark.needs_bc
    @pytest.mark.needs_axios
    @pytest.mark.needs_ffmpeg
    def test_programs(start: Start, endpoint: FaultyEndpoint, worker: FakeWorker, tmp_path: Path) -> None:
        """Under prefixes, so that relative and absolute URLs are told apart. They sleep, so they run side by side."""
        video = tmp_path / "made.mp4"
        colour = ["-f", "lavfi", "-i", "color=red:size=64x64:duration=1", "-pix_fmt", "yuv420p"]
        subprocess.run(["ffmpeg", "-v", "error", *colour, video], check=True)
        gateway = start(*BASE_URLS, hunyuan_max_queue_size=100, cogvideox_tokens=TOKEN)
        with at_work(worker, video.read_bytes()), ThreadPoolExecutor(32) as pool:
            job_ids = {api: make(gateway, api) for api in LITERAL_IDS}
            all_of_them = [program for api in BASE_URLS for program in programs(api)]
            runs = [
                pool.submit(
                    program.run, f"{gateway.url}/{program.api}", job_ids.get(program.api, ""), tmp_path / str(number)
                )
                for number, program in enumerate(all_of_them)
            ]
            made = [(program, run.result()) for program, run in zip(all_of_them, runs, strict=True)]
        assert sorted((program.api, program.language) for program, codecs in made if codecs) == LEAVE_A_VIDEO
        assert all(codecs in ([], ["h264"]) for _, codecs in made)

"""The client programs that the APIs' documents print, run as printed but for the base URL, literal paths and ids.

`python -m bench.programs` runs all of them against `videoworker serve --api all` with `sketch`. A program's exit code
proves nothing: ffprobe judges the files that it leaves. The programs are not in this repository. They are read from the
documents, if those lie beside it in `shared/api`.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import requests
import typer
from PIL import Image

from bench.servers.apis import served
from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.processes import ROOT

DOCUMENTS = ROOT.parent / "shared" / "api"
TOKEN = "a-token"

_FILES = {"local": "local-video-service.md"}  # those that do not have their API's name
BASE_URLS = {
    "hunyuanvideo": "https://your-service-name.onrender.com",
    "hunyuanvideo-1.5": "http://localhost:8000",
    "local": "http://localhost:8000",
    "cogvideox": "http://localhost:9000",
    "hunyuanvideo-foley": "http://localhost:7860",
}
LITERAL_IDS = {
    "hunyuanvideo": "550e8400-e29b-41d4-a716-446655440000",
    "hunyuanvideo-1.5": "uuid-1234-5678",
    "local": "20250127_143022_serene_lake",
}
_LITERAL_PICTURE = "/path/to/image.jpg"
_RUN = {"python": [sys.executable], "javascript": ["node"], "bash": ["bash", "-e"]}
_SUFFIXES = {"python": "py", "javascript": "cjs", "bash": "sh"}


@dataclass(frozen=True)
class Clip:
    """What ffprobe says of a file: sides in pixels, and the codec of the sound if it has any."""

    codec: str
    width: int
    height: int
    num_frames: int
    sound: str | None = None


@dataclass(frozen=True)
class Program:
    """A fenced block that calls the API."""

    api: str
    language: str
    text: str

    @property
    def names_a_video(self) -> bool:
        """Whether it fetches one that is made already."""
        return self.api in LITERAL_IDS and LITERAL_IDS[self.api] + ".mp4" in self.text

    def run(self, base_url: str, job_id: str, folder: Path, patience: float) -> list[Clip]:
        """The files that it leaves. It may take `patience` seconds."""
        folder.mkdir()
        picture = folder / "picture.jpg"
        Image.new("RGB", (64, 64), "red").save(picture)
        text = self.text.replace(BASE_URLS[self.api], base_url).replace(LITERAL_IDS.get(self.api, "no id"), job_id)
        text = text.replace(_LITERAL_PICTURE, str(picture))
        file = folder / f"program.{_SUFFIXES[self.language]}"
        file.write_text(text)
        node_modules = ROOT / "builder" / "npm" / "node_modules"
        settings = {"VALID_TOKEN": TOKEN, "NODE_PATH": str(node_modules), "GRADIO_TEMP_DIR": str(folder)}
        process = subprocess.run(
            [*_RUN[self.language], file.name],
            cwd=folder,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=patience,
        )
        if process.returncode != 0:
            raise ValueError(text + process.stdout + process.stderr)
        return [clip(path) for path in folder.rglob("*.mp4")]


def programs(api: str) -> list[Program]:
    """Those of the API's document. One that runs Docker needs the document's own image."""
    text = (DOCUMENTS / _FILES.get(api, f"{api}.md")).read_text("utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [
        Program(api, language, block)
        for language, block in blocks
        if language in _RUN and BASE_URLS[api] in block and "docker" not in block
    ]


def clip(path: Path) -> Clip:
    """Raises `subprocess.CalledProcessError` if ffprobe cannot read the file."""
    probe = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
    told = subprocess.run(probe, capture_output=True, text=True, check=True).stdout
    streams: dict[str, Any] = {stream["codec_type"]: stream for stream in json.loads(told)["streams"]}
    video, sound = streams["video"], streams.get("audio")
    return Clip(
        video["codec_name"],
        video["width"],
        video["height"],
        int(video["nb_read_frames"]),
        sound["codec_name"] if sound else None,
    )


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
    ("hunyuanvideo-foley", "python"),
    ("local", "bash"),
    ("local", "python"),
]

# What the programs ask for. Where a document leaves the size open, `sketch` makes its own.
_ASKED = {
    "hunyuanvideo": Clip("h264", 640, 480, 61),
    "hunyuanvideo-1.5": Clip("h264", 1920, 1080, 120),
    "local": Clip("h264", 512, 512, 48),
    "cogvideox": Clip("h264", 256, 256, 49),
    "hunyuanvideo-foley": Clip("h264", 1280, 720, 180, "aac"),
}

# The videos for the programs that name one.
_REQUESTS: dict[str, dict[str, Any]] = {
    "hunyuanvideo": {"prompt": "a red star", "width": 256, "height": 256, "video_length": 25},
    "hunyuanvideo-1.5": {"prompt": "a red star", "duration": 5, "resolution": "720p"},
    "local": {"prompt": "a red star", "width": 256, "height": 256, "num_frames": 25, "lawful_use_consent": True},
}
_READY = {
    "hunyuanvideo": Clip("h264", 256, 256, 25),
    "hunyuanvideo-1.5": Clip("h264", 1280, 720, 60),
    "local": Clip("h264", 256, 256, 25),
}


def ready(url: str, api: str, patience: float) -> str:
    """What the literal id of the API's programs stands for: a video that is finished."""
    jobs = f"{url}/{api}/ui/jobs"
    job = requests.post(jobs, json=_REQUESTS[api], timeout=PATIENCE).json()

    def name() -> str:
        told = requests.get(f"{jobs}/{job['id']}", timeout=PATIENCE).json()
        assert told["state"] == "completed", told
        return str(told["name"])

    return Path(eventually(name, patience)).stem


def run_all(url: str, work: Sequence[Program], folder: Path, patience: float) -> Iterator[tuple[Program, list[Clip]]]:
    """Each with the files that it left. They sleep, so they run side by side. Every API is at `url`, by its name."""
    ids = {api: ready(url, api, patience) for api in LITERAL_IDS if any(program.api == api for program in work)}

    def run(number: int) -> list[Clip]:
        program = work[number]
        return program.run(f"{url}/{program.api}", ids.get(program.api, ""), folder / str(number), patience)

    with ThreadPoolExecutor(len(work)) as pool:
        yield from zip(work, pool.map(run, range(len(work))), strict=True)


def main(
    patience: Annotated[float, typer.Option(help="seconds that a program may take: one worker serves all")] = 3600,
    api: Annotated[list[str] | None, typer.Option(help="whose programs; may be given again. Else all")] = None,
) -> None:
    """Prints a line for each program. Ends with 1 if one has not left what it asked for, or if a job failed."""
    names, wrong, left = list(api or BASE_URLS), 0, []
    work = [program for name in names for program in programs(name)]
    with tempfile.TemporaryDirectory() as place, served(Path(place), "all", COGVIDEOX_TOKENS=TOKEN) as service:
        for program, clips in run_all(service.url, work, Path(place), patience):
            wanted = (_READY if program.names_a_video else _ASKED)[program.api]
            left += [(program.api, program.language) for _ in clips]
            wrong += clips not in ([], [wanted])
            print(f"{program.api}, {program.language}: {', '.join(map(str, clips)) or 'prints'}", flush=True)
        while (jobs := service.counted()["jobs"])["inQueue"] or jobs["inProgress"]:  # of those that do not wait
            time.sleep(1)
    print(f"{len(work)} programs, {wrong} wrong files; {jobs['completed']} jobs completed, {jobs['failed']} failed")
    missing = Counter(pair for pair in LEAVE_A_VIDEO if pair[0] in names) - Counter(left)
    if wrong or missing or jobs["failed"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

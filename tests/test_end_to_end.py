"""One job of each API, from the command line to a file that plays: the real SDK, handler and file, small networks. The
model that ships makes a video of a picture here, and what its videos show is tested in `tests/sketch`."""

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
import numpy as np
import pytest
from PIL import Image

from bench.imports import told, unwanted
from tests.apis.samples import VIDEO_KEYS
from tests.forks import Forks
from tests.handler_process import output_of, run_job
from tests.media import manifests
from tests.media.certificates import signer
from tests.media.pictures import encoded
from videoworker import __version__
from videoworker.origin import TRAINED_ALGORITHMIC_MEDIA

SILENT = "No sound model for sketch is installed, so the video is silent."
CUT = "The model read the prompt without its last"  # small networks read short prompts alone
PROMPT = "a red circle moving right on a blue background"
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@dataclass(frozen=True)
class Case:
    """One API's cheapest job and what must come of it. `answer` is the document's part of the answer, without what is
    only known afterwards."""

    job: dict[str, Any]
    answer: dict[str, Any]
    width: int
    height: int
    num_frames: int
    fps: int
    steps: int
    guidance_scale: float
    container: str
    codec: str
    notes: tuple[str, ...]
    seed: int | None = None
    effort: str = "full"
    is_signed: bool = False


CASES = {
    "hunyuanvideo-foley": Case(
        job={
            "video_prompt": PROMPT,
            "audio_prompt": "waves",
            "duration": 1,
            "quality": "low",
            "output_format": "webm",
        },
        answer={"status": "success", "message": "Video generated successfully"},
        width=854,
        height=480,
        num_frames=12,
        fps=12,
        steps=20,
        guidance_scale=2.0,
        container="webm",
        codec="vp9",
        notes=("scaled up to 854x480", "Made 25 frames and kept the first 12.", SILENT),
        is_signed=True,
    ),
    "hunyuanvideo": Case(
        job={
            "prompt": PROMPT,
            "width": 256,
            "height": 256,
            "video_length": 13,
            "num_inference_steps": 10,
            "flow_shift": 7.0,
            "embedded_guidance_scale": 6.0,
            "seed": 2**63 - 1,
        },
        # the SDK takes every answer's `error` out, a null one too
        answer={"job_id": "local_test", "status": "completed", "progress": 1.0},
        width=256,
        height=256,
        num_frames=13,
        fps=15,
        steps=10,
        guidance_scale=1.0,
        container="mp4",
        codec="h264",
        notes=(
            "Made 25 frames and kept the first 13.",
            "flow_shift has no effect with sketch.",
            "embedded_guidance_scale has no effect with sketch.",
        ),
        seed=2**63 - 1,
    ),
    "hunyuanvideo-1.5": Case(
        job={"prompt": PROMPT, "duration": 5, "resolution": "720p"},
        answer={"task_id": "local_test", "status": "completed", "progress": 100, "duration": 5, "resolution": "720p"},
        width=1280,
        height=720,
        num_frames=60,
        fps=12,
        steps=20,
        guidance_scale=2.0,
        container="mp4",
        codec="h264",
        notes=("scaled up to 1280x720", "Made in 3 segments of at most 25 frames"),
    ),
    "local": Case(
        job={
            "prompt": PROMPT,
            "image": "data:image/png;base64," + encoded(Image.new("RGB", (64, 48), "blue")),
            "num_frames": 8,
            "width": 256,
            "height": 256,
            "seed": 0,
            "low_vram": True,
            "lawful_use_consent": True,
        },
        answer={
            "success": True,
            "mp4_path": "video.mp4",
            "frames": 8,
            "fps": 24,
            "width": 256,
            "height": 256,
            "seed": 0,
            "backend": "sketch",
        },
        width=256,
        height=256,
        num_frames=8,
        fps=24,
        steps=20,
        guidance_scale=2.0,
        container="mp4",
        codec="h264",
        notes=(
            "Made 25 frames and kept the first 8.",
            "low_vram has no effect: sketch needs no GPU.",
            "The image (64x48) was cropped to the video's aspect, centred.",
        ),
        seed=0,
    ),
    "cogvideox": Case(
        job={"prompt": PROMPT, "num_frames": 8, "num_inference_steps": 1, "guidance_scale": 7.5},
        answer={"status": "completed"},
        width=256,
        height=256,
        num_frames=8,
        fps=24,
        steps=1,
        guidance_scale=7.5,
        container="mp4",
        codec="h264",
        notes=("Made 25 frames and kept the first 8.",),
    ),
    "native": Case(
        job={
            "prompt": PROMPT,
            "negative_prompt": "a green square",
            "width": 191,
            "height": 130,
            "num_frames": 3,
            "fps": 60,
            "num_inference_steps": 1,
            "guidance_scale": 2.0,
            "effort": "fast",
            "seed": 42,
            "audio": {"prompt": "waves"},
            "crf": 0,
            "embed_prompt": True,
        },
        answer={"job_id": "local_test", "status": "completed"},
        width=190,
        height=130,
        num_frames=3,
        fps=60,
        steps=1,
        guidance_scale=2.0,
        container="mp4",
        codec="h264",
        notes=(
            "191x130 became 190x130: H.264 4:2:0 needs even sides.",
            "scaled down to 190x130",
            "Made 25 frames and kept the first 3.",
            SILENT,
        ),
        seed=42,
        effort="fast",
        is_signed=True,
    ),
}

# What the documents' answers hold beside what each case names: known only once the video is made.
KNOWN_AFTERWARDS = {
    "hunyuanvideo-foley": {"file_url", "duration", "file_size"},
    "hunyuanvideo": {"created_at", "updated_at", "video_url", "estimated_time"},
    "hunyuanvideo-1.5": {"video_url", "file_size"},
    "local": {"video_url", "elapsed_time"},
    "cogvideox": {"video_url"},
    "native": {"video_url"},
}


@dataclass(frozen=True)
class Done:
    """A finished job: which API it was, what the process printed, its answer, and where its file lies."""

    api: str
    case: Case
    stdout: str
    answer: dict[str, Any]
    path: Path
    folder: Path

    @property
    def video(self) -> dict[str, Any]:
        video: dict[str, Any] = self.answer["video"]
        return video


@pytest.fixture(scope="module", params=list(CASES))
def done(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    forks: Forks,
    image_checkpoint: Path,
) -> Done:
    """Each API's job, run once for all tests of this file."""
    case, folder = CASES[request.param], tmp_path_factory.mktemp("worker")
    settings = {"OUTPUT_DIR": str(folder / "made"), "MODEL": "sketch", "WEIGHTS_DIR": str(image_checkpoint.parent)}
    settings |= signer().settings() if case.is_signed else {}
    process = forks.run_job(folder, {"api": request.param} | case.job, **settings)
    assert process.returncode == 0, process.stdout + process.stderr
    answer = output_of(process.stdout)
    return Done(request.param, case, process.stdout, answer, file_at(answer["video"]["url"]), folder)


def file_at(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def test_answer(done: Done) -> None:
    """It has the document's form, with the video and the timings beside it."""
    answer = done.answer
    assert set(answer) == set(done.case.answer) | KNOWN_AFTERWARDS[done.api] | {"video", "timings"}
    assert {key: answer[key] for key in done.case.answer} == done.case.answer
    assert all(type(answer[key]) is type(value) for key, value in done.case.answer.items())
    assert {answer[key] for key in ("video_url", "file_url") if key in answer} == {done.video["url"]}
    if "file_size" in answer:
        assert answer["file_size"] == done.path.stat().st_size
    for key in {"created_at", "updated_at"} & set(answer):
        assert TIMESTAMP.fullmatch(answer[key])
    for key in {"elapsed_time", "estimated_time"} & set(answer):
        assert answer[key] == pytest.approx(answer["timings"]["total"], abs=1)
    if done.api == "hunyuanvideo-foley":
        assert answer["duration"] == pytest.approx(answer["timings"]["total"], abs=0.01)


def test_video(done: Done) -> None:
    """It is what was asked for, and its notes say what was changed."""
    case, video = done.case, done.video
    assert set(video) == VIDEO_KEYS
    told = {
        "container": case.container,
        "codec": case.codec,
        "width": case.width,
        "height": case.height,
        "num_frames": case.num_frames,
        "fps": case.fps,
        "model": "sketch",
        "steps": case.steps,
        "guidance_scale": case.guidance_scale,
        "effort": case.effort,
        "has_audio": False,
    }
    assert {key: video[key] for key in told} == told
    assert video["duration"] == pytest.approx(case.num_frames / case.fps)
    assert video["seed"] == case.seed if case.seed is not None else 0 <= video["seed"] < 2**32
    assert re.fullmatch(r"[0-9a-f]{12}", video["model_revision"])
    assert len(video["notes"]) == len(case.notes) + 1
    assert all(said in note for said, note in zip((*case.notes, CUT), video["notes"], strict=True))


def test_timings(done: Done) -> None:
    """Seconds of each stage, within the total."""
    timings = done.answer["timings"]
    stages = {"encode_prompt", "denoise", "decode", "encode", "deliver"}
    assert set(timings) == stages | {"total"}  # nothing was loaded: that was done before the job
    assert timings["denoise"] > 0 and timings["decode"] > 0
    assert sum(timings[stage] for stage in stages) <= timings["total"] + 0.01


def test_file_is_the_described_one(done: Done) -> None:
    data = done.path.read_bytes()
    assert done.path == done.folder / "made" / "local_test" / f"video.{done.case.container}"
    assert done.video["file_size"] == len(data)
    assert done.video["sha256"] == hashlib.sha256(data).hexdigest()
    manifest_url = done.video["manifest_url"]
    described = {done.path} if manifest_url is None else {done.path, file_at(manifest_url)}
    assert {path for path in done.folder.rglob("*") if path.is_file()} == described  # nothing is left beside them


def test_marks(done: Done) -> None:
    """What the answer says the file is marked with is in the file, or beside a signed webm."""
    signed, container = done.case.is_signed, done.case.container
    assert done.video["marks"] == (["iptc", "c2pa"] if signed else ["iptc"])
    manifest_url = done.video["manifest_url"]
    assert (manifest_url is not None) is (signed and container == "webm")
    if signed:
        sidecar = None if manifest_url is None else file_at(manifest_url).read_bytes()
        state, action = manifests.read(done.path.read_bytes(), container, sidecar)
        assert (state, action["digitalSourceType"]) == ("Valid", TRAINED_ALGORITHMIC_MEDIA)
        prompt = PROMPT if done.case.job.get("embed_prompt") else None
        assert action["parameters"].get("prompt") == prompt


def test_last_line(done: Done) -> None:
    last = done.stdout.splitlines()[-1]
    path = os.path.relpath(done.path, done.folder)
    assert last.startswith(f"{path}  {done.case.width}x{done.case.height}, {done.case.num_frames} frames, ")
    assert f"seed {done.video['seed']}, sketch, made in" in last


def test_metadata_of_the_file(done: Done) -> None:
    with av.open(done.path) as source:
        metadata = {key.lower(): value for key, value in source.metadata.items()}
    expected = {
        "seed": str(done.video["seed"]),
        "model": "sketch",
        "model_revision": done.video["model_revision"],
        "steps": str(done.case.steps),
        "effort": done.case.effort,
        "software": f"videoworker {__version__}",
        "prompt_sha256": hashlib.sha256(PROMPT.encode()).hexdigest(),
        "digital_source_type": TRAINED_ALGORITHMIC_MEDIA,
    }
    assert expected.items() <= metadata.items()
    assert metadata.get("prompt") == (PROMPT if done.case.job.get("embed_prompt") else None)
    if not done.case.job.get("embed_prompt"):
        assert PROMPT.encode() not in done.path.read_bytes()


@pytest.mark.needs_ffmpeg
def test_independent_reader(done: Done) -> None:
    case = done.case
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json"]
    probed = json.loads(subprocess.check_output([*command, str(done.path)]))
    (stream,) = probed["streams"]
    assert (stream["codec_name"], stream["pix_fmt"]) == (case.codec, "yuv420p")
    assert (stream["width"], stream["height"]) == (case.width, case.height)
    assert int(stream["nb_read_frames"]) == case.num_frames
    assert Fraction(stream["avg_frame_rate"]) == Fraction(stream["r_frame_rate"]) == case.fps
    assert [stream[f"color_{tag}"] for tag in ("space", "primaries", "transfer", "range")] == ["bt709"] * 3 + ["tv"]
    tags = {name.lower(): value for name, value in probed["format"]["tags"].items()}
    assert tags["digital_source_type"] == TRAINED_ALGORITHMIC_MEDIA
    precision = 0.001 if case.container == "webm" else 1e-6  # webm counts in milliseconds
    assert float(probed["format"]["duration"]) == pytest.approx(case.num_frames / case.fps, abs=precision)


def test_refused_job_leaves_no_file(tmp_path: Path, forks: Forks) -> None:
    process = forks.run_job(tmp_path, {"prompt": "a red circle", "num_frames": 0}, OUTPUT_DIR=str(tmp_path / "made"))
    assert process.returncode == 1
    assert "Traceback" not in process.stdout + process.stderr
    assert list(tmp_path.iterdir()) == []


def test_late_job_leaves_no_file(tmp_path: Path, forks: Forks) -> None:
    process = forks.run_job(
        tmp_path, {"prompt": "a red circle"}, OUTPUT_DIR=str(tmp_path / "made"), JOB_TIMEOUT_SECONDS="0.001"
    )
    assert process.returncode == 1
    assert "Video generation exceeded time limit (0.001 seconds)" in process.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def with_picture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Where the video of a job with a first picture lies, and its process, which tells what it imports."""
    folder = tmp_path_factory.mktemp("worker")
    job = {"prompt": PROMPT, "image": encoded(Image.new("RGB", (320, 180), (255, 220, 0))), "num_frames": 1, "seed": 1}
    settings = {"OUTPUT_DIR": str(folder), "MODEL": "sketch", "PYTHONPROFILEIMPORTTIME": "1"}
    process = run_job(folder, job, **settings)
    assert process.returncode == 0
    (path,) = folder.rglob("*.mp4")
    return path, process


def test_first_picture(with_picture: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """It is seen in the first frame, whatever the prompt says: the autoencoder alone must bring its ground back."""
    with av.open(with_picture[0]) as source:
        first = next(source.decode(video=0)).to_ndarray(format="rgb24")
    corners = np.stack([first[:16, :16], first[:16, -16:], first[-16:, :16], first[-16:, -16:]])
    red, green, blue = corners.mean(axis=(0, 1, 2))
    assert red > 180 and green > 150 and blue < 100


def test_imports(with_picture: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """From its start to the delivered video a worker imports no architecture but its own, and nothing that it does not
    use."""
    found = told(with_picture[1].stderr)  # without a few lines: while two threads import, some run into each other
    assert "videoworker.families.cogvideox.family" in {one.module for one in found}
    assert not any(unwanted(found, "cogvideox").values())

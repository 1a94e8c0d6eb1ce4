"""`videoworker estimate` says what a job would take, from files that are here and from what is declared."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builder.tiny import mochi
from tests.forks import Forks
from videoworker.engine.hardware import Hardware
from videoworker.engine.timings import Timings
from videoworker.models.cogvideox import COGVIDEOX_1_5_5B, COGVIDEOX_5B
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.hunyuanvideo_1_5 import (
    HUNYUANVIDEO_1_5,
    HUNYUANVIDEO_1_5_480P_T2V,
    HUNYUANVIDEO_1_5_480P_T2V_DISTILLED,
    SR_1080P,
)
from videoworker.models.mochi import MOCHI
from videoworker.models.sketch import SKETCH
from videoworker.models.sound_model import Part
from videoworker.models.video_model import VideoModel
from videoworker.planning.memory import GIB
from videoworker.planning.pace import measured
from videoworker.planning.placement import Placement, ladder
from videoworker.planning.plan import plan_clip
from videoworker.planning.published_seconds import estimates
from videoworker.planning.work import video_work
from videoworker.request import VideoRequest

HUNYUANVIDEO_JOB = json.dumps({"prompt": "a cat", "model": "hunyuanvideo"})


@pytest.fixture
def estimate(tmp_path: Path, forks: Forks) -> Callable[..., str]:
    def printed(*arguments: str, placement: str = "") -> str:
        places = {"WEIGHTS_DIR": str(tmp_path), "NETWORK_VOLUME": str(tmp_path / "none"), "KEEP_TIMINGS": "true"}
        done = forks.run_command(tmp_path, "estimate", *arguments, PLACEMENT=placement, **places)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return printed


def test_a_model_that_is_not_installed_is_estimated_as_declared(estimate: Callable[..., str]) -> None:
    printed = estimate(HUNYUANVIDEO_JOB, "--memory", "47.4")
    assert "1280x720, 129 frames, 50 steps" in printed and "they are not installed" in printed
    needs = dict(re.findall(r"^  (\w+) +([\d.]+) GiB$", printed, re.MULTILINE))
    assert list(needs) == [placement.value for placement in ladder(HUNYUANVIDEO.checkpoint)]
    assert re.search(r"^placement  text_encoder_offload \(47.4 GiB are free\)$", printed, re.MULTILINE)
    assert float(needs["text_encoder_offload"]) <= 47.4 < float(needs["resident"])
    clip = "1904 for 1280x720, 129 frames, 50 steps: Tencent-Hunyuan/HunyuanVideo"
    assert f"\nseconds    about 1904 on an H100 with its authors' program ({clip})\n" in printed


def test_files_that_are_here_are_measured_and_unknown_seconds_are_said_to_be_unknown(
    tmp_path: Path, estimate: Callable[..., str]
) -> None:
    mochi.save(tmp_path / "mochi", mochi.VARIANTS[0])
    printed = estimate(json.dumps({"prompt": "a cat", "model": "mochi"}), "--memory", "16")
    assert "weights    0.0 GiB (found: WEIGHTS_DIR)" in printed
    assert "placement  resident" in printed
    assert "seconds    not known" in printed


@pytest.mark.parametrize(("memory", "larger"), [("96", True), ("24", False)])
def test_a_clip_that_is_brought_to_a_larger_size(estimate: Callable[..., str], memory: str, larger: bool) -> None:
    """All networks count, if there is room for them."""
    job = {"prompt": "a cat", "model": "hunyuanvideo-1.5", "width": 1920, "height": 1080}
    printed = estimate(json.dumps(job), "--memory", memory)
    assert "clip       1280x720, 121 frames" in printed
    assert ("larger     1904x1072, 8 steps of super-resolution\n" in printed) is larger
    size = HUNYUANVIDEO_1_5.checkpoint.size + (SR_1080P.checkpoint.size if larger else 0)
    assert f"weights    {size / GIB:.1f} GiB" in printed
    assert re.search(rf"^placement  \w+ \({memory}.0 GiB are free\)$", printed, re.MULTILINE)


def test_what_jobs_took_here(tmp_path: Path, estimate: Callable[..., str]) -> None:
    """It takes the place of what is published."""
    job = {"prompt": "a cat", "model": "sketch"}
    assert "seconds    about 6 on two CPU cores with this worker" in estimate(json.dumps(job))
    request = VideoRequest(api="native", prompt="a cat", num_inference_steps=10)
    done = video_work(plan_clip(request, SKETCH), "mp4", Placement.RESIDENT)
    Timings(tmp_path / "timings.json", Hardware().name).add(measured(done, {"denoise": 30.0, "decode": 5.0}))
    printed = estimate(json.dumps(job))
    if not Hardware().is_gpu:
        assert "seconds    about 65.0 here, as the last jobs took (denoise 60.0, decode 5.0)" in printed
        assert "here" not in estimate(json.dumps(job), "--memory", "80")  # that is another machine


def test_too_little_memory_is_told_with_both_numbers(estimate: Callable[..., str]) -> None:
    printed = estimate(HUNYUANVIDEO_JOB, "--memory", "10")
    leanest = re.findall(r"^  fp8 +([\d.]+) GiB$", printed, re.MULTILINE)[0]
    assert f"placement  none: Out of GPU memory: this video needs at least {leanest} GiB" in printed
    assert "10.0 GiB are free" in printed


def test_what_the_operator_forces_is_what_is_printed(estimate: Callable[..., str]) -> None:
    printed = estimate(HUNYUANVIDEO_JOB, "--memory", "10", placement="group_offload")
    assert "placement  group_offload (as PLACEMENT says)" in printed


@pytest.mark.parametrize(
    ("job", "complaint"),
    [
        ("{prompt: a cat}", "this is no JSON"),
        ('{"prompt": "a cat", "model": "hunyuanvideo", "num_frames": 0}', "num_frames"),
    ],
)
def test_a_job_that_cannot_be_read_is_refused_in_words(tmp_path: Path, forks: Forks, job: str, complaint: str) -> None:
    done = forks.run_command(tmp_path, "estimate", job, WEIGHTS_DIR=str(tmp_path))
    assert done.returncode != 0 and done.stdout == ""
    assert complaint in " ".join(done.stderr.replace("│", " ").split()) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("model", "published"), [(HUNYUANVIDEO, 1904.0), (COGVIDEOX_5B, 90.0), (COGVIDEOX_1_5_5B, 550.0)]
)
def test_the_default_clip_takes_what_is_published(model: VideoModel, published: float) -> None:
    plan = plan_clip(VideoRequest(api="native", prompt="a cat"), model)
    (estimate,) = estimates(plan)
    assert estimate.seconds == pytest.approx(published) and not estimate.is_least


def test_figures_of_several_programs() -> None:
    """The clip that was measured takes what was measured. What is larger takes at least as much more."""
    asked = VideoRequest(api="native", prompt="a cat", width=832, height=480)
    found = estimates(plan_clip(asked, HUNYUANVIDEO_1_5_480P_T2V))
    assert [str(one) for one in found] == [
        "about 1136 on an H200 with diffusers",
        "about 259 on an H200 with vLLM-Omni",
    ]
    larger = estimates(plan_clip(VideoRequest(api="native", prompt="a cat"), HUNYUANVIDEO_1_5))
    assert [str(one) for one in larger] == [
        "at least 2621 on an H200 with diffusers",
        "at least 599 on an H200 with vLLM-Omni",
    ]
    distilled = estimates(plan_clip(asked, HUNYUANVIDEO_1_5_480P_T2V_DISTILLED))
    assert distilled[0].seconds == pytest.approx(1135.7 / 2)  # it needs no guidance
    short = replace(asked, num_frames=33, num_inference_steps=30)
    assert [one.seconds for one in estimates(plan_clip(short, HUNYUANVIDEO_1_5_480P_T2V))] == pytest.approx([87, 29.9])


def test_seconds_grow_with_the_work() -> None:
    def seconds(**asked: float) -> float:
        request = VideoRequest(api="native", prompt="a cat", **asked)  # type: ignore[arg-type]
        (estimate,) = estimates(plan_clip(request, HUNYUANVIDEO))
        return estimate.seconds

    assert seconds(num_inference_steps=25) == pytest.approx(seconds() / 2)
    assert seconds(guidance_scale=6.0) == pytest.approx(seconds() * 2)
    assert seconds(width=640, height=720) == pytest.approx(seconds() / 2)
    assert estimates(plan_clip(VideoRequest(api="native", prompt="a cat"), MOCHI)) == ()


SOUND_JOB = json.dumps({"prompt": "a cat", "model": "hunyuanvideo", "audio": {}})


@pytest.mark.parametrize(
    ("memory", "room"),
    [
        ("12", "room       one part at a time (12.0 GiB are free)"),
        ("40", "room       all parts, without the video model (40.0 GiB are free)"),
        ("80", "room       beside the video model (80.0 GiB are free)"),
        ("8", "room       none: Out of GPU memory: the sound needs at least 11.7 GiB, and 8.0 GiB are free."),
    ],
)
def test_room_for_a_sound(estimate: Callable[..., str], memory: str, room: str) -> None:
    printed = estimate(SOUND_JOB, "--memory", memory)
    assert "sound      foley, 50 steps" in printed
    assert [line.split()[0] for line in printed.splitlines() if line.startswith("  ")][-3:] == list(Part)
    assert printed.splitlines()[-1] == room


def test_no_gpu_no_sound(estimate: Callable[..., str]) -> None:
    assert "sound      none: a GPU makes it" in estimate(SOUND_JOB)


def test_without_a_gpu_the_processors_placements_and_its_time(tmp_path: Path, forks: Forks) -> None:
    """HunyuanVideo's smallest clip of its document."""
    clip = {"width": 480, "height": 360, "num_frames": 61, "num_inference_steps": 25}
    job = json.dumps({"prompt": "a cat", "model": "hunyuanvideo"} | clip)
    done = forks.run_command(tmp_path, "estimate", job, WEIGHTS_DIR=str(tmp_path), CPU="allow")
    assert done.returncode == 0, done.stderr
    needs = dict(re.findall(r"^  (\w+) +([\d.]+) GiB$", done.stdout, re.MULTILINE))
    assert list(needs) == ["resident", "mapped"] and float(needs["mapped"]) < float(needs["resident"]) / 3
    assert re.search(r"^placement  (resident|mapped|none: Out of memory: )", done.stdout, re.MULTILINE)
    taken = re.search(r"^seconds    about (\d+) \((\d+) minutes\) on this processor", done.stdout, re.MULTILINE)
    assert taken and int(taken[1]) > 600
    refused = forks.run_command(tmp_path, "estimate", job, WEIGHTS_DIR=str(tmp_path))
    assert "CPU=allow" in refused.stdout

"""A worker that has no video model: it adds sound to given videos, by the real handler, and makes no videos."""

import json
from pathlib import Path

import pytest

from builder.tiny import foley
from tests.forks import Forks
from tests.handler_process import ROOT, error_of, output_of
from tests.media.clips import clip, shades, text
from videoworker.models.foley import FOLEY_XL
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.sketch import SKETCH

JOB = {"video": text(clip(shades(6))), "audio": {"num_inference_steps": 1}}
VIDEO_JOB = {"prompt": "a red circle", "audio": {}}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two sound models and nothing else."""
    folder = tmp_path_factory.mktemp("weights")
    foley.save(folder / FOLEY_XL.checkpoint.folder, "xl")
    (folder / "sketch-foley").symlink_to(ROOT / "weights" / "sketch-foley")
    return str(folder)


@pytest.mark.parametrize(("served", "model"), [("", "foley"), ("sketch-foley", "sketch-foley")])
def test_sound_for_a_video(tmp_path: Path, forks: Forks, weights: str, served: str, model: str) -> None:
    """Without MODEL the best that is there is loaded. The log says what such a worker cannot do."""
    ran = forks.run_job(tmp_path, JOB, WEIGHTS_DIR=weights, MODEL=served)
    video = output_of(ran.stdout)["video"]
    assert (video["model"], video["has_audio"], video["num_frames"]) == (model, True, 6), json.dumps(video)
    assert ran.stderr.count("no video model is served") == 1
    assert ran.stderr.index("sound part loaded") < ran.stderr.index("Model loaded successfully")


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ("", SKETCH.checkpoint.absence),
        ("foley", "No video model is served here: foley makes no videos, but adds sound to a `video` that is given."),
    ],
)
def test_no_video(tmp_path: Path, forks: Forks, weights: str, served: str, message: str) -> None:
    """The error names what is missing."""
    error = error_of(forks.run_job(tmp_path, VIDEO_JOB, WEIGHTS_DIR=weights, MODEL=served).stdout)
    assert (error["code"], error["message"]) == ("MODEL_NOT_LOADED", message)


def test_an_api_of_videos_alone(tmp_path: Path, forks: Forks, weights: str) -> None:
    """No request of it could be served, so the worker does not start."""
    ran = forks.run_job(tmp_path, JOB, WEIGHTS_DIR=weights, API="hunyuanvideo")
    assert (ran.returncode, ran.stderr) == (1, f"{HUNYUANVIDEO.checkpoint.absence}\n")


def test_damaged_weights(tmp_path: Path, forks: Forks) -> None:
    """They end the worker before the first job."""
    foley.save(tmp_path / FOLEY_XL.checkpoint.folder, "xl")
    file = next((tmp_path / FOLEY_XL.checkpoint.folder / "codec").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    ran = forks.run_job(tmp_path, JOB, WEIGHTS_DIR=str(tmp_path), MODEL="foley")
    assert ran.returncode == 1
    assert "foley xl" in ran.stderr.splitlines()[-1] and "videoworker fetch foley --variant xl" in ran.stderr

"""Every family from a checkpoint on disk to a file that plays, with sound: the real handler under the real SDK, small
networks.

Families, ways of a job, containers and lengths do not know each other. So each two of them meet in some job, and not
each four.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
import pytest
from typer.testing import CliRunner

from builder.make_tiny import app
from builder.tiny import cogvideox, foley
from tests.forks import Forks
from tests.handler_process import output_of
from tests.media.clips import Kind, clip, shades, text
from tests.media.sounds import check_together, heard
from videoworker.models import MODELS, VARIANTS
from videoworker.models.foley import FOLEY_XL
from videoworker.request import Container

STEPS = 2
SOUND = {"prompt": "a bell", "num_inference_steps": 1}
WITH_A_SAMPLER = [name for name in MODELS if name != "sketch"]  # that one ships

pytestmark = pytest.mark.needs_ffmpeg


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `sketch` and a sound model."""
    folder = tmp_path_factory.mktemp("weights")
    cogvideox.save(folder / "sketch", "sketch")
    foley.save(folder / FOLEY_XL.checkpoint.folder, "xl")
    return folder


def path_of(video: dict[str, Any]) -> Path:
    return Path(url2pathname(urlsplit(video["url"]).path))


@pytest.mark.parametrize("container", ["mp4", "webm"])
@pytest.mark.parametrize("family", WITH_A_SAMPLER)
def test_a_checkpoint_on_disk_becomes_a_file_that_plays(
    family: str, container: Container, tmp_path: Path, weights: Path, forks: Forks
) -> None:
    """It has half a second."""
    model = MODELS[family]
    made = CliRunner().invoke(app, [family, str(tmp_path / "weights" / model.checkpoint.folder)])
    assert made.exit_code == 0, made.output
    sound = FOLEY_XL.checkpoint.folder
    (tmp_path / "weights" / sound).symlink_to(weights / sound)

    job = {
        "prompt": "a red circle moving right",
        "negative_prompt": "a blue square",
        "width": model.grid * -(-model.min_side // model.grid),
        "height": model.grid * -(-model.min_side // model.grid),
        "num_frames": model.min_frames,
        "fps": 2 * model.min_frames,
        "num_inference_steps": STEPS,
        "seed": 7,
        "container": container,
        "audio": SOUND,
    }
    ran = forks.run_job(tmp_path, job, MODEL=family, WEIGHTS_DIR=str(tmp_path / "weights"))
    video = output_of(ran.stdout)["video"]
    assert (video["model"], video["steps"], video["seed"]) == (family, STEPS, 7), json.dumps(video)

    path = path_of(video)
    with av.open(path) as file:
        tags = {name.lower(): value for name, value in file.metadata.items()}
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == video["num_frames"] == model.min_frames
    assert {frame.shape for frame in frames} == {(job["height"], job["width"], 3)}
    assert any(frame.std() > 1 for frame in frames)  # random networks draw something
    assert (video["has_audio"], tags["sound_model"]) == (True, "foley")
    check_together(path, model.min_frames, 2 * model.min_frames)
    assert heard(path).std() > 0.001  # and sound like something


@pytest.mark.parametrize(("seconds", "container"), [(5, "webm"), (12, "mp4"), (30, "webm")])
def test_a_long_clip(seconds: int, container: Container, tmp_path: Path, weights: Path, forks: Forks) -> None:
    """Above 10 seconds its sound is made in windows."""
    job = {
        "prompt": "a red circle",
        "width": 192,
        "height": 192,
        "num_frames": seconds,
        "fps": 1,
        "num_inference_steps": 1,
        "container": container,
        "audio": SOUND,
    }
    ran = forks.run_job(tmp_path, job, WEIGHTS_DIR=str(weights))
    check_together(path_of(output_of(ran.stdout)["video"]), seconds, 1)


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [(5, Kind()), (12, Kind("webm", "libvpx-vp9", options=())), (30, Kind())],
    ids=["5 s", "12 s", "30 s"],
)
def test_a_long_clip_that_is_given(seconds: int, kind: Kind, tmp_path: Path, weights: Path, forks: Forks) -> None:
    job = {"video": text(clip(shades(seconds), kind, fps=1)), "audio": SOUND}
    ran = forks.run_job(tmp_path, job, WEIGHTS_DIR=str(weights))
    check_together(path_of(output_of(ran.stdout)["video"]), seconds, 1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sora", "x"], f"'sora' is not one of {', '.join(VARIANTS)}"),
        (["cogvideox", "x", "--variant", "9b"], "'9b' is not one of 2b, 5b,"),
    ],
)
def test_a_checkpoint_that_cannot_be_made_is_refused_in_words(arguments: list[str], complaint: str) -> None:
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert complaint in " ".join(refused.output.replace("│", " ").split())

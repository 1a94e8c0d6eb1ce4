"""Every family from a checkpoint on disk to a file that plays: the real handler under the real SDK, small networks."""

import json
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
import pytest
from typer.testing import CliRunner

from builder.make_tiny import app
from tests.forks import Forks
from tests.handler_process import output_of
from videoworker.models import MODELS, VARIANTS

STEPS = 2
WITH_A_SAMPLER = [name for name in MODELS if name != "sketch"]  # that one ships


@pytest.mark.parametrize("family", WITH_A_SAMPLER)
def test_a_checkpoint_on_disk_becomes_a_file_that_plays(family: str, tmp_path: Path, forks: Forks) -> None:
    model = MODELS[family]
    made = CliRunner().invoke(app, [family, str(tmp_path / "weights" / model.checkpoint.folder)])
    assert made.exit_code == 0, made.output

    job = {
        "prompt": "a red circle moving right",
        "negative_prompt": "a blue square",
        "width": model.grid * -(-model.min_side // model.grid),
        "height": model.grid * -(-model.min_side // model.grid),
        "num_frames": model.min_frames,
        "num_inference_steps": STEPS,
        "seed": 7,
    }
    ran = forks.run_job(tmp_path, job, MODEL=family, WEIGHTS_DIR=str(tmp_path / "weights"))
    video = output_of(ran.stdout)["video"]
    assert (video["model"], video["steps"], video["seed"]) == (family, STEPS, 7), json.dumps(video)

    with av.open(url2pathname(urlsplit(video["url"]).path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == video["num_frames"] == model.min_frames
    assert {frame.shape for frame in frames} == {(job["height"], job["width"], 3)}
    assert any(frame.std() > 1 for frame in frames)  # random networks draw something


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

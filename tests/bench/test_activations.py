"""What the models' files declare of memory is what is counted on networks of the published size."""

from functools import cache

import pytest
import typer
from typer.testing import CliRunner

from bench import activations
from bench.activations import counted_models
from videoworker.models.checkpoint import Role
from videoworker.models.video_model import VideoModel

# In pixels of all frames: counting a larger clip takes as long as counting all others.
LARGEST_CLIP = 90_000_000


def clip(model: VideoModel) -> int:
    return model.default_width * model.default_height * model.default_frames


# Of each family the largest clip.
COUNTED = {model.family: model for model in sorted(counted_models(), key=clip) if clip(model) < LARGEST_CLIP}


count = cache(activations.count)


@pytest.mark.parametrize("model", COUNTED.values(), ids=lambda model: model.checkpoint.title)
def test_declared_memory_is_the_counted_and_at_most_a_tenth_more(model: VideoModel) -> None:
    counted = count(model)
    declared = sum(one.size for one in model.checkpoint.components if one.role is Role.DENOISER)
    assert counted.denoiser == pytest.approx(declared, rel=0.01)  # it is the published one
    assert 1 <= model.denoise_bytes * clip(model) / counted.denoise < 1.1
    decoded = model.decoded_at_once(model.default_width * model.default_height)
    assert 1 <= model.decode_bytes * decoded / counted.decode < 1.1
    further = model.decode_latent_bytes * model.default_width * model.default_height
    assert not further or 1 <= further / counted.further < 1.1


def test_the_table_has_a_row_for_each_counted_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `python -m bench.activations --family mochi` prints it."""
    monkeypatch.setattr(activations, "count", count)
    app = typer.Typer()
    app.command()(activations.main)
    printed = CliRunner().invoke(app, ["--family", "mochi"], catch_exceptions=False).stdout
    (row,) = printed.splitlines()[2:]
    model = COUNTED["mochi"]
    pixels = model.default_width * model.default_height * model.default_frames
    assert row.startswith(f"| mochi | {model.default_width}x{model.default_height}x{model.default_frames} | ")
    assert f"| {count(model).denoise / pixels:.0f}, declared {model.denoise_bytes:g} |" in row

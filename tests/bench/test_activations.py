"""What the models' files declare of memory is what is counted on networks of the published size."""

import pytest

from bench.activations import count, counted_models
from videoworker.models.checkpoint import Role
from videoworker.models.video_model import VideoModel

# The quickest model of a family and variant with an architecture of its own. Those of HunyuanVideo take 40 s to count
# and of HunyuanVideo-1.5 20 s, longer than these together.
COUNTED = [model for model in counted_models() if model.checkpoint.folder in ("cogvideox-1.5-5b", "ltx", "mochi")]


@pytest.mark.parametrize("model", COUNTED, ids=lambda model: model.checkpoint.title)
def test_declared_memory_is_the_counted_and_at_most_a_tenth_more(model: VideoModel) -> None:
    counted = count(model)
    declared = sum(one.size for one in model.checkpoint.components if one.role is Role.DENOISER)
    assert counted.denoiser == pytest.approx(declared, rel=0.01)  # it is the published one
    pixels = model.default_width * model.default_height
    assert 1 <= model.denoise_bytes * pixels * model.default_frames / counted.denoise < 1.1
    assert 1 <= model.decode_bytes * pixels / counted.decode < 1.1

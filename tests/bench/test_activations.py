"""What the models' files declare of memory is what is counted on networks of the published size."""

import pytest

from bench.activations import TRANSFORMERS, count
from videoworker.models import VARIANTS

# Those of HunyuanVideo take 40 s to count and of HunyuanVideo-1.5 20 s, longer than these together.
COUNTED = [("cogvideox", "1.5-5b"), ("ltx", ""), ("mochi", "")]


@pytest.mark.parametrize(("name", "variant"), COUNTED)
def test_a_model_declares_the_memory_that_is_counted_and_at_most_a_tenth_more(name: str, variant: str) -> None:
    (model,) = (one for one in VARIANTS[name] if one.variant == variant)
    counted = count(model, TRANSFORMERS[name, variant])
    (transformer,) = (one for one in model.components if one.name == "transformer")
    assert counted.transformer == pytest.approx(transformer.size, rel=0.01)  # it is the published one
    pixels = model.default_width * model.default_height
    assert 1 <= model.denoise_bytes * pixels * model.default_frames / counted.denoise < 1.1
    assert 1 <= model.decode_bytes * pixels / counted.decode < 1.1

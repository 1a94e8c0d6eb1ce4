"""Our visual branch of Synchformer beside the published code."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.families.foley import parity
from tests.families.foley.parity import CLOSE, Tensors
from videoworker.families.foley.synchformer import Synchformer
from videoworker.models.checkpoint import Role
from videoworker.models.foley import FOLEY_XXL

# Its weights are kept in float16.
CLOSE_IN_HALF = 2e-3


@pytest.fixture(scope="module")
def recorded() -> Tensors:
    return parity.tensors("synchformer")


@torch.inference_mode()
def distance(network: Any, recorded: Tensors) -> float:
    small = recorded["case0.pixels_uint8"]  # [N, 3, 4, 28, 28]
    pixels = small.repeat_interleave(4, 2).repeat_interleave(8, 3).repeat_interleave(8, 4) / 127.5 - 1
    return float((network(pixels) - recorded["case0.output"]).abs().max())


def test_the_published_codes_numbers(recorded: Tensors) -> None:
    network = Synchformer(hidden_size=48, num_blocks=2, num_heads=3)
    weights = parity.after("weights.vfeat_extractor.", recorded)
    network.load_state_dict({name: one for name, one in weights.items() if not name.startswith("patch_embed.")})
    assert distance(network, recorded) < CLOSE


def test_a_published_file(recorded: Tensors, tmp_path: Path) -> None:
    network = parity.synchformer(parity.after("weights.", recorded), tmp_path)
    assert distance(network, recorded) < CLOSE_IN_HALF


@pytest.mark.parametrize("name", ["temp_embed", "blocks.0.timeattn.qkv.weight", "spatial_attn_agg.cls_token"])
def test_what_would_be_seen(recorded: Tensors, tmp_path: Path, name: str) -> None:
    network = parity.synchformer(parity.after("weights.", recorded), tmp_path)
    network.get_parameter(name).data.zero_()
    assert distance(network, recorded) > 10 * CLOSE_IN_HALF


def test_published_size() -> None:
    with torch.device("meta"):
        network = Synchformer()
    (declared,) = (one.size for one in FOLEY_XXL.checkpoint.components if one.role is Role.VIDEO_ENCODER)
    assert sum(2 * parameter.numel() for parameter in network.parameters()) == declared

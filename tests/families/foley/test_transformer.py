"""Our transformer of HunyuanVideo-Foley beside the published code, and what would be seen if it were wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.families.foley import parity
from tests.families.foley.parity import CLOSE, Tensors
from videoworker.errors import Code, JobError
from videoworker.families.foley import transformer as module
from videoworker.families.foley.transformer import Conditioning, FoleyTransformer, Table
from videoworker.models.checkpoint import Role
from videoworker.models.foley import FOLEY_XL, FOLEY_XXL

CASES = ("case0", "case1", "case2")
XL = {"num_triple_blocks": 12, "num_single_blocks": 24, "hidden_size": 1408, "num_heads": 11}


@pytest.fixture(scope="module")
def recorded() -> Tensors:
    return parity.tensors("transformer")


@pytest.fixture
def network(recorded: Tensors, tmp_path: Path) -> Any:
    return parity.transformer(parity.after("weights.", recorded), tmp_path)


@torch.inference_mode()
def predicted(network: Any, case: Tensors, check: Callable[[], None] = lambda: None) -> torch.Tensor:
    num_latents, num_pictures = case["x"].shape[2], case["clip_feat"].shape[1]
    visual, sync = network.look(case["clip_feat"], case["sync_feat"], num_latents)
    text, positions = network.read_text(case["text"]), network.positions(num_latents, num_pictures)
    conditioning = Conditioning(visual, sync, text, positions)
    made: torch.Tensor = network(case["x"], case["t"], conditioning, check)
    return made


def distance(network: Any, recorded: Tensors) -> float:
    """From what the published code gave, the largest of all cases."""
    cases = [parity.after(f"{case}.", recorded) for case in CASES]
    return max(float((predicted(network, case) - case["output"]).abs().max()) for case in cases)


def test_the_published_codes_numbers(network: Any, recorded: Tensors) -> None:
    assert distance(network, recorded) < CLOSE


def test_packing_of_single_blocks(network: Any, recorded: Tensors) -> None:
    for block in network.single_blocks:
        for packed in (block.linear_qkv.weight, block.linear_qkv.bias):
            kinds_last = packed.data.unflatten(0, (block.num_heads, -1, 3))
            packed.data = kinds_last.movedim(2, 0).flatten(0, 2)
    assert distance(network, recorded) > 100 * CLOSE


def test_rotary_order(network: Any, recorded: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    def halves(x: torch.Tensor, table: Table) -> torch.Tensor:
        cosine, sine = table
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)

    monkeypatch.setattr(module, "_rotated", halves)
    assert distance(network, recorded) > 100 * CLOSE


def test_places_of_pictures(network: Any, recorded: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are beside the latents of their time, not in front of them."""
    positions = network.positions

    def apart(num_latents: int, num_pictures: int) -> Any:
        made = positions(num_latents, num_pictures)
        return module.Positions(made.cross, made.cross, made.alone)

    monkeypatch.setattr(network, "positions", apart)
    assert distance(network, recorded) > 100 * CLOSE


def test_resampling(network: Any, recorded: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    interpolate = functional.interpolate

    def nearest(x: torch.Tensor, size: int, mode: str) -> torch.Tensor:
        assert mode == "nearest-exact"
        return interpolate(x, size, mode="nearest")

    monkeypatch.setattr(functional, "interpolate", nearest)
    assert distance(network, recorded) > 100 * CLOSE


@pytest.mark.parametrize("name", ["sync_pos_emb", "sync_in.0.bias", "cond_in.linear_2.bias", "time_in.mlp.2.bias"])
def test_a_missing_embedding(network: Any, recorded: Tensors, name: str) -> None:
    network.get_parameter(name).data.zero_()
    assert distance(network, recorded) > 100 * CLOSE


def test_the_last_modulation_is_never_applied(network: Any, recorded: Tensors) -> None:
    for parameter in network.final_layer.adaLN_modulation.parameters():
        parameter.data.normal_()
    assert distance(network, recorded) < CLOSE


def test_a_cancel_between_two_blocks(network: Any, recorded: Tensors) -> None:
    blocks = 0

    def check() -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 2:
            raise JobError(Code.CANCELLED, "")

    with pytest.raises(JobError):
        predicted(network, parity.after("case0.", recorded), check)
    assert blocks == 2


@pytest.mark.parametrize(
    ("model", "configuration", "parameters", "keys"),
    [(FOLEY_XXL, {}, 5_134_014_848, 1087), (FOLEY_XL, XL, 2_912_962_688, 733)],
    ids=["xxl", "xl"],
)
def test_published_sizes(model: Any, configuration: dict[str, int], parameters: int, keys: int) -> None:
    with torch.device("meta"):
        network = FoleyTransformer(**configuration)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == keys
    (declared,) = (one.size for one in model.checkpoint.components if one.role is Role.DENOISER)
    assert declared == 2 * parameters

"""Our decoder of HunyuanVideo-Foley's codec beside the published code, whole and in pieces."""

from typing import Any

import pytest
import torch

from tests.families.foley import parity
from tests.families.foley.parity import CLOSE, Tensors
from videoworker.families.foley.codec import CONTEXT, FoleyDecoder, decode
from videoworker.models.checkpoint import Role
from videoworker.models.foley import FOLEY_XXL


@pytest.fixture(scope="module")
def recorded() -> Tensors:
    return parity.tensors("codec")


@pytest.fixture(scope="module")
def network(recorded: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return parity.codec(parity.after("weights.", recorded), tmp_path_factory.mktemp("codec"))


@pytest.mark.parametrize("case", ["case0", "case1"])
@torch.inference_mode()
def test_the_published_codes_numbers(network: Any, recorded: Tensors, case: str) -> None:
    assert (network(recorded[f"{case}.latents"]) - recorded[f"{case}.output"]).abs().max() < CLOSE


@pytest.mark.parametrize("at_once", [7, 13, 200])
@torch.inference_mode()
def test_pieces_make_the_whole(network: Any, recorded: Tensors, at_once: int) -> None:
    latents = recorded["case1.latents"]
    made = torch.cat(list(decode(network, latents, at_once)), dim=1)
    assert made.shape == (1, 960 * latents.shape[2])
    assert (made - recorded["case1.output"][:, 0]).abs().max() < CLOSE


@torch.inference_mode()
def test_less_context_would_be_seen(network: Any, recorded: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoworker.families.foley.codec.CONTEXT", CONTEXT // 3)
    made = torch.cat(list(decode(network, recorded["case1.latents"], 13)), dim=1)
    assert (made - recorded["case1.output"][:, 0]).abs().max() > 10 * CLOSE


def test_published_size() -> None:
    with torch.device("meta"):
        network = FoleyDecoder()
    (declared,) = (one.size for one in FOLEY_XXL.checkpoint.components if one.role is Role.AUTOENCODER)
    assert sum(parameter.nbytes for parameter in network.parameters()) == declared

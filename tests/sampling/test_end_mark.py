"""A prompt that ends in T5's end mark has one, as with the tokenizer that the models were trained with."""

from pathlib import Path
from typing import Any

import pytest
import torch

from builder import tiny
from tests.families.running import reader
from videoworker.families import family
from videoworker.models import MODELS

WITH_T5 = ("cogvideox", "ltx", "mochi", "sketch")


@pytest.fixture(params=WITH_T5)
def encode(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Encodes a prompt: its states, and how many tokens did not fit."""
    model = MODELS[request.param]
    tiny.save(model, tmp_path)
    run = family(model.family)
    networks = run.load(reader(tmp_path))

    def encoded(prompt: str) -> tuple[torch.Tensor, int]:
        (states,), cut = run.encode_prompts(networks, [prompt], None)
        return states, cut

    return encoded


def test_one_end_mark(encode: Any) -> None:
    assert torch.equal(encode("a red circle</s>")[0], encode("a red circle")[0])
    assert not torch.equal(encode("a red circle</s></s>")[0], encode("a red circle")[0])


def test_count_of_tokens(encode: Any) -> None:
    long = "r" * 600
    assert encode(f"{long}</s>")[1] == encode(long)[1] > 0

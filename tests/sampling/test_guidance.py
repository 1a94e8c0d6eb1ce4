"""Classifier-free guidance in numbers that can be worked out by hand."""

import pytest
import torch

from videoworker.sampling.guidance import Guidance

NEGATIVE, POSITIVE = torch.tensor([1.0, -2.0, 0.0, 5.0]), torch.tensor([3.0, 2.0, 0.0, -1.0])


def test_constant() -> None:
    assert Guidance.constant(4.5, 3) == Guidance((4.5, 4.5, 4.5))


def test_prompts() -> None:
    """A step whose scale is 1 needs no prediction for the negative prompt."""
    guidance = Guidance((6.0, 1.0, 0.5))
    needed = [list(guidance.prompts(index, ("negative", "prompt"))) for index in range(3)]
    assert needed == [["negative", "prompt"], ["prompt"], ["negative", "prompt"]]
    assert list(guidance.prompts(0, ("prompt",))) == ["prompt"]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(1.0, [3.0, 2.0, 0.0, -1.0]), (0.0, [1.0, -2.0, 0.0, 5.0]), (3.0, [7.0, 10.0, 0.0, -13.0])],
)
def test_combine(scale: float, expected: list[float]) -> None:
    """The negative prompt's prediction, and from there `scale` times the way to the prompt's."""
    guidance = Guidance((99.0, scale))
    assert guidance.combine(1, [NEGATIVE, POSITIVE]).tolist() == expected


def test_one_prediction() -> None:
    assert Guidance((6.0,)).combine(0, [POSITIVE]) is POSITIVE


@pytest.mark.parametrize("rescale", [0.0, 0.25, 1.0])
def test_rescale(rescale: float) -> None:
    """The deviation goes so far of the way from the guided prediction's to that of the prompt's own."""
    negative, positive = torch.stack([NEGATIVE, 2 * NEGATIVE]), torch.stack([POSITIVE, 3 * POSITIVE])
    guided = Guidance((3.0,)).combine(0, [negative, positive])
    made = Guidance((3.0,), rescale).combine(0, [negative, positive])
    deviations = rescale * positive.std(dim=1) + (1 - rescale) * guided.std(dim=1)
    assert torch.allclose(made.std(dim=1), deviations)
    assert torch.allclose(made / made.std(dim=1, keepdim=True), guided / guided.std(dim=1, keepdim=True), atol=1e-6)

"""Every seed has its own noise."""

import itertools

import numpy as np
import pytest
import torch

from videoworker.sampling.seeds import seeded_generator

SMALL = [0, 1, 7, 2**31, 2**32 - 1]
LARGE = [2**32, 2**32 + 1, 2**32 + 7, 2**33 + 1, 2**53 + 1, 2**63 - 1]


def noise(seed: int) -> torch.Tensor:
    return torch.randn(1000, generator=seeded_generator(seed))


@pytest.mark.parametrize("seed", SMALL)
def test_small_seed(seed: int) -> None:
    """Its noise is that of torch."""
    assert torch.equal(noise(seed), torch.randn(1000, generator=torch.Generator("cpu").manual_seed(seed)))


def test_own_noise() -> None:
    noises = [noise(seed) for seed in SMALL + LARGE]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(noises, 2))


@pytest.mark.parametrize("seed", LARGE)
def test_again(seed: int) -> None:
    assert torch.equal(noise(seed), noise(seed))


@pytest.mark.parametrize("seed", LARGE)
def test_large_seed(seed: int) -> None:
    """Its generator gives the numbers of MT19937 seeded by both halves, as numpy draws them."""
    drawn = torch.randint(0, 2**20, (2000,), generator=seeded_generator(seed), dtype=torch.int64)
    expected = np.random.RandomState([seed % 2**32, seed // 2**32]).randint(0, 2**32, 2000, dtype=np.uint32)
    assert np.array_equal(drawn.numpy(), expected % 2**20)

"""Distances of clips that can be worked out by hand."""

import math

import numpy as np
import pytest

from bench.distance import psnr, ssim


def grey(value: int) -> np.ndarray:
    return np.full((2, 24, 32, 3), value, np.uint8)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 24, 32, 3), np.uint8)


def test_equal_clips() -> None:
    assert psnr(noise(0), noise(0)) == math.inf
    assert ssim(noise(0), noise(0)) == pytest.approx(1)


def test_even_clips() -> None:
    """Without any structure the brightness alone counts."""
    assert psnr(grey(100), grey(125)) == pytest.approx(20 * math.log10(255 / 25))
    c1 = 2.55**2
    assert ssim(grey(100), grey(125)) == pytest.approx((2 * 100 * 125 + c1) / (100**2 + 125**2 + c1))


def test_unlike_clips() -> None:
    """What has nothing to do with each other is near 0, and opposites are below it."""
    assert abs(ssim(noise(0), noise(1))) < 0.05
    assert ssim(noise(0), 255 - noise(0)) < -0.8

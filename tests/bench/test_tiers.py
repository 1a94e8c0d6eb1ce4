"""What `fast` must keep, measured as `python -m bench.tiers` does it, with one clip."""

from bench.distance import psnr, ssim
from bench.tiers import Tally, made
from builder.evaluate_sketch import held_out
from builder.sketch.measure import look
from videoworker.engine.engine import Engine
from videoworker.settings import Settings


def test_fast() -> None:
    """At least 1.6 x fewer predictions, and a clip that shows the same and is near to that of `exact`."""
    ((_, prompt),), engine = held_out(1, seed=12, motion="right"), Engine(Settings())
    (exact, all_of_them), (fast, some) = (made(engine, prompt, 12, effort) for effort in ("exact", "fast"))
    assert all_of_them / some >= 1.6
    assert psnr(fast, exact) >= 28
    assert ssim(fast, exact) >= 0.92
    assert look(fast) == look(exact)


def test_row() -> None:
    tally = Tally(predictions=50, psnr=[30.0, 40.0], ssim=[0.9, 1.0], right=[True, True, False, True])
    cells = ["fast", "25", "1.60 x", "35.0, at least 30.0", "0.950, at least 0.900", "75.0% of 4"]
    assert tally.row("fast", exact=80) == f"| {' | '.join(cells)} |"

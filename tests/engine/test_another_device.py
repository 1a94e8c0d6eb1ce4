"""Every family's sampler on a device that is not the host: what goes wrong on a GPU first, shown without one."""

import json
from typing import Any

import pytest

from builder.make_tiny import FAMILIES
from tests.engine.another_device import STEPS
from tests.forks import Forks
from tests.handler_process import ROOT

# Other variants of HunyuanVideo-1.5 differ from these in nothing that a device would see.
ALIKE = {f"{size}-{kind}" for size in ("480p", "720p") for kind in ("t2v-distilled", "i2v-distilled")} | {
    "480p-t2v",
    "480p-i2v",
}
VARIANTS = [
    f"{family} {variant}" for family in FAMILIES for variant in FAMILIES[family].VARIANTS if variant not in ALIKE
]
# HunyuanVideo-1.5's transformer asks whether the picture is all zeros, and chooses by twelve masks.
IN_A_PREDICTION = 13


@pytest.fixture(scope="module")
def made(forks: Forks) -> dict[str, dict[str, Any]]:
    ran = forks.run_module("tests.engine.another_device", ROOT, *VARIANTS)
    assert ran.returncode == 0, ran.stderr
    by_variant: dict[str, dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return by_variant


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_clip_made_on_another_device_is_the_hosts_clip(made: dict[str, dict[str, Any]], variant: str) -> None:
    clip = made[variant]
    assert clip["is_the_same"]
    assert clip["shape"][-1] == 3 and clip["deviation"] > 1  # random networks draw something


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_step_waits_for_the_device_but_where_diffusers_does(made: dict[str, dict[str, Any]], variant: str) -> None:
    waited = made[variant]["waited"]
    assert len(waited) == STEPS == 2
    assert waited[1] - waited[0] == (2 * IN_A_PREDICTION if variant.startswith("hunyuanvideo-1.5") else 0)

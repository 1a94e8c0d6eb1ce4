"""Every family makes clips with each tier, and computes what planning says."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ModelMixin
from torch.nn.modules.module import register_module_forward_hook

from builder.make_tiny import FAMILIES
from tests.engine import making
from tests.engine.clips import clip
from videoworker.effort import Effort
from videoworker.models import MODELS
from videoworker.models.sampling import Sampling
from videoworker.settings import Settings

STEPS = 7
EFFORTS: tuple[Effort, ...] = ("exact", "full", "fast")


@pytest.mark.parametrize("family", list(FAMILIES))
def test_predictions(family: str, tmp_path: Path) -> None:
    FAMILIES[family].save(tmp_path / MODELS[family].checkpoint.folder, FAMILIES[family].VARIANTS[0])
    engine, computed = making.loaded(family, Settings(weights_dir=tmp_path)), Counter[str]()

    def count(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, ModelMixin) and "Transformer" in type(module).__name__:
            computed[effort] += len(output[0])

    hook, made = register_module_forward_hook(count), {}
    try:
        for effort in EFFORTS:
            made[effort] = np.stack(list(clip(engine, family, effort=effort, num_inference_steps=STEPS)))
    finally:
        hook.remove()
    scale = MODELS[family].default_guidance_scale
    assert computed == {effort: Sampling(STEPS, scale, effort=effort).predictions for effort in EFFORTS}
    assert np.array_equal(made["exact"], made["full"])
    assert not np.array_equal(made["fast"], made["full"])

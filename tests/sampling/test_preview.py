"""The small picture of latents that is sent while a clip is made."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from videoworker.models.video_model import Rgb
from videoworker.request import Progress
from videoworker.sampling.denoise import Start, denoise
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.preview import preview
from videoworker.sampling.schedule import FlowSchedule
from videoworker.watch import Watch

RGB: Rgb = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
LEVELS = torch.linspace(1, 0, 5)


def shown(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))), np.int16)


def test_colours() -> None:
    """It is the middle frame, small, in the map's colours."""
    latents = torch.full((1, 3, 2, 90, 320), -1.0)
    latents[0, 1, 0] = 1.0  # red
    picture = shown(preview(latents, RGB) or "")
    assert picture.shape == (45, 160, 3)
    assert np.abs(picture - (255, 0, 0)).max() < 8
    assert len(preview(torch.randn(1, 3, 2, 90, 320), RGB) or "") < 20_000


def test_other_autoencoder() -> None:
    """An operator's own checkpoint may have more channels than the map: its jobs have no previews, and run."""
    reports: list[Progress] = []
    run(Watch("a", reports.append, 1000.0, has_previews=True), (*RGB, (0.0, 0.0, 0.0)))
    assert [report.preview for report in reports] == [None] * 4


def run(watch: Watch, rgb: Rgb) -> None:
    clean = torch.ones(1, 1, 2, 8, 8)
    schedule = FlowSchedule(LEVELS, LEVELS[:-1])

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[None]) -> list[torch.Tensor]:
        return [(latents - clean) / schedule.sigmas[index]]

    denoise(Start(torch.zeros_like(clean), schedule, (None,), Guidance.constant(1.0, 4), predict), watch, rgb)


def test_each_second() -> None:
    """Reports have the newest one. It shows what the step foresees, not its noise."""
    reports: list[Progress] = []
    ticks = iter(range(1000))
    run(Watch("a", reports.append, 1000.0, lambda: next(ticks) / 10, has_previews=True), RGB)
    assert len(reports) == 4
    for report in reports:
        assert report.preview is not None and np.abs(shown(report.preview) - (255, 255, 0)).max() < 8
    assert len({id(report.preview) for report in reports}) < 4


@pytest.mark.parametrize(("wanted", "rgb"), [(False, RGB), (True, ())])
def test_none(wanted: bool, rgb: Rgb, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nobody wants one, or none can be made, nothing waits for the device."""

    def waits(*_: object) -> None:
        raise AssertionError("waits for the device")

    monkeypatch.setattr(torch.Tensor, "cpu", waits)
    reports: list[Progress] = []
    run(Watch("a", reports.append, 1000.0, has_previews=wanted), rgb)
    assert [report.preview for report in reports] == [None] * 4

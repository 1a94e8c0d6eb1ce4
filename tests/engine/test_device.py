"""What lies on the device: one checkpoint's networks at a time."""

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from builder.tiny import hunyuanvideo_1_5
from tests.engine.continued_clips import IMAGE, NAME, TEXT, frames
from tests.watches import unheard
from videoworker.engine.engine import Engine
from videoworker.models import VARIANTS
from videoworker.settings import Settings
from videoworker.watch import Watch


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """With the text variant's weights on the device, and those of the image variant at hand."""
    monkeypatch.setitem(VARIANTS, NAME, (TEXT, IMAGE))
    for model in (TEXT, IMAGE):
        hunyuanvideo_1_5.save(tmp_path / model.checkpoint.folder, model.variant)
    engine = Engine(Settings(weights_dir=tmp_path))
    frames(engine, 5)
    return engine


def transformer_of(engine: Engine) -> Callable[[], torch.nn.Module | None]:
    assert engine._device.loaded is not None
    return weakref.ref(engine._device.loaded.networks.transformer)


class LoadingWatch(Watch):
    """Notes at every check whether a network still exists while nothing is loaded, which is while weights are read."""

    def look(self, engine: Engine, network: Callable[[], object | None]) -> None:
        self.engine, self.network, self.existed = engine, network, list[bool]()

    def check(self) -> None:
        if self.engine.loaded is None:
            self.existed.append(self.network() is not None)
        super().check()


@pytest.mark.parametrize("num_frames", [14, 9])
def test_networks_before_are_freed_first(engine: Engine, num_frames: int) -> None:
    """Two checkpoints never lie in memory together: of a clip's two segments, and of two jobs."""
    if num_frames == 9:
        frames(engine, 14)
        assert engine.loaded == IMAGE.checkpoint
    watch = LoadingWatch("a", unheard, 1000.0)
    watch.look(engine, transformer_of(engine))
    assert len(frames(engine, num_frames, watch)) == num_frames
    assert len(watch.existed) > 100 and not any(watch.existed)

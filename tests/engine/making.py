"""Clips made by an engine, for tests that plan them themselves."""

from collections.abc import Iterator
from pathlib import Path

from tests.watches import watch_that
from videoworker.canvas import Picture
from videoworker.engine.clip import Clip
from videoworker.engine.engine import Engine
from videoworker.planning.plan import Plan
from videoworker.settings import Settings
from videoworker.watch import Watch

PROMPT, NEGATIVE = "a red circle", "a blue square"
CLIP = Clip(PROMPT, NEGATIVE, None, seed=7)


def loaded(name: str, settings: Settings) -> Engine:
    """An engine with the weights of the model `name` on its device."""
    engine = Engine(settings)
    engine.load(engine.survey().variant_for(name), watch_that())
    return engine


def settings_for(weights_dir: Path, placement: str | None = None) -> Settings:
    return Settings(weights_dir=weights_dir, placement=placement)


def frames(engine: Engine, plan: Plan, clip: Clip = CLIP, watch: Watch | None = None) -> Iterator[Picture]:
    """The plan's frames, one by one."""
    watch = watch or watch_that()
    yield from engine.frames(engine.prepare(plan, watch), clip, watch)

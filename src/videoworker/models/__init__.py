"""The models there are. Each module of this package that has `VARIANTS` declares one model, of videos or of sounds."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from videoworker.models.checkpoint import Checkpoint
from videoworker.models.sound_model import SoundModel
from videoworker.models.upscaler import Upscaler
from videoworker.models.video_model import VideoModel

Model = TypeVar("Model", VideoModel, SoundModel)


def _declared(kind: type[Model]) -> Iterator[tuple[Model, ...]]:
    for module in iter_modules(__path__):
        variants = getattr(import_module(f"{__name__}.{module.name}"), "VARIANTS", ())
        if variants and isinstance(variants[0], kind):
            yield variants


def _by_name(kind: type[Model]) -> dict[str, tuple[Model, ...]]:
    """Each model's variants by its name, models by rank. If nothing says which variant, the first one is meant."""
    ranked = sorted(_declared(kind), key=lambda variants: variants[0].rank)
    return {variants[0].name: variants for variants in ranked}


def upscalers(variants: Iterable[VideoModel | SoundModel]) -> tuple[Upscaler, ...]:
    """The super-resolution of these variants, each once."""
    declared = (model.upscaler for model in variants if isinstance(model, VideoModel))
    return tuple(dict.fromkeys(filter(None, declared)))


VARIANTS: dict[str, tuple[VideoModel, ...]] = _by_name(VideoModel)

MODELS: dict[str, VideoModel] = {name: variants[0] for name, variants in VARIANTS.items()}

SOUND_VARIANTS: dict[str, tuple[SoundModel, ...]] = _by_name(SoundModel)

# Of both kinds.
DECLARED: dict[str, tuple[VideoModel | SoundModel, ...]] = {**VARIANTS, **SOUND_VARIANTS}

# Of each model, all that is fetched by itself: its variants' checkpoints, and those of their super-resolution.
CHECKPOINTS: dict[str, tuple[Checkpoint, ...]] = {
    name: tuple(one.checkpoint for one in (*variants, *upscalers(variants))) for name, variants in DECLARED.items()
}

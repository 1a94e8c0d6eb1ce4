"""The models there are: each module of this package that has `VARIANTS` declares one model by it."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from videoworker.models.video_model import VideoModel


def _declared() -> Iterator[tuple[VideoModel, ...]]:
    for module in iter_modules(__path__):
        variants: tuple[VideoModel, ...] = getattr(import_module(f"{__name__}.{module.name}"), "VARIANTS", ())
        if variants:
            yield variants


# A model's variants by its name, models by rank. The first variant is the one that is meant if nothing says which.
VARIANTS: dict[str, tuple[VideoModel, ...]] = {
    variants[0].name: variants for variants in sorted(_declared(), key=lambda variants: variants[0].rank)
}

MODELS: dict[str, VideoModel] = {name: variants[0] for name, variants in VARIANTS.items()}

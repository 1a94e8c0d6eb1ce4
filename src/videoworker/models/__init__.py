"""The models there are. Each module of this package that has `VARIANTS` declares one model."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from videoworker.models.video_model import VideoModel


def _declared() -> Iterator[tuple[VideoModel, ...]]:
    for module in iter_modules(__path__):
        variants: tuple[VideoModel, ...] = getattr(import_module(f"{__name__}.{module.name}"), "VARIANTS", ())
        if variants:
            yield variants


# Each model's variants by its name, models by rank. If nothing says which variant, the first one is meant.
VARIANTS: dict[str, tuple[VideoModel, ...]] = {
    variants[0].name: variants for variants in sorted(_declared(), key=lambda variants: variants[0].rank)
}

MODELS: dict[str, VideoModel] = {name: variants[0] for name, variants in VARIANTS.items()}

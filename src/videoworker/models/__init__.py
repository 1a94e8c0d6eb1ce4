"""The models there are, best first: one file per family, one declaration per variant."""

from itertools import groupby

from videoworker.models import cogvideox, hunyuanvideo, ltx, mochi, open_sora
from videoworker.models.declaration import Model

_DECLARED = (
    *hunyuanvideo.HUNYUANVIDEO_1_5_VARIANTS,
    *hunyuanvideo.HUNYUANVIDEO_VARIANTS,
    mochi.MOCHI,
    ltx.LTX,
    open_sora.OPEN_SORA,
    *cogvideox.COGVIDEOX_VARIANTS,
    cogvideox.SKETCH,
)

# A model's variants by its name; the first is the one that is meant where nothing says which.
VARIANTS: dict[str, tuple[Model, ...]] = {
    name: tuple(variants) for name, variants in groupby(_DECLARED, key=lambda model: model.name)
}

MODELS: dict[str, Model] = {name: variants[0] for name, variants in VARIANTS.items()}

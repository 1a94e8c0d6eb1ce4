"""The models there are, best first: one file per family, one row per model."""

from videoworker.models.cogvideox import COGVIDEOX, SKETCH
from videoworker.models.declaration import Model
from videoworker.models.hunyuanvideo import HUNYUANVIDEO, HUNYUANVIDEO_1_5
from videoworker.models.mochi import MOCHI
from videoworker.models.open_sora import OPEN_SORA

MODELS: dict[str, Model] = {
    model.name: model for model in (HUNYUANVIDEO_1_5, HUNYUANVIDEO, MOCHI, OPEN_SORA, COGVIDEOX, SKETCH)
}

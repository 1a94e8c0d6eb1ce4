"""The declared models as builders and measurements need them. No list of names stands anywhere but in `models`."""

from videoworker.models import DECLARED, VARIANTS
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.video_model import VideoModel

# Those of videos whose weights are part of this repository, and the checkpoints of all whose weights are.
SHIPPED: tuple[VideoModel, ...] = tuple(
    model for variants in VARIANTS.values() for model in variants if not model.checkpoint.repository
)
SHIPPED_CHECKPOINTS: tuple[Checkpoint, ...] = tuple(
    model.checkpoint for variants in DECLARED.values() for model in variants if not model.checkpoint.repository
)

# Of each family the model that comes first, by the family's name.
FIRST_OF_FAMILY: dict[str, VideoModel] = {}
for _variants in VARIANTS.values():
    FIRST_OF_FAMILY.setdefault(_variants[0].family, _variants[0])

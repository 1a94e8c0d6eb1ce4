"""All variants there are, as cases of a test."""

import pytest

from videoworker.models import SOUND_VARIANTS, VARIANTS

ALL_VARIANTS = [variant for variants in VARIANTS.values() for variant in variants]
EVERY_VARIANT = [pytest.param(variant, id=variant.checkpoint.folder) for variant in ALL_VARIANTS]
EVERY_SOUND_VARIANT = [
    pytest.param(variant, id=variant.checkpoint.folder) for variants in SOUND_VARIANTS.values() for variant in variants
]

"""All variants there are, as cases of a test."""

import pytest

from videoworker.models import VARIANTS

ALL_VARIANTS = [variant for variants in VARIANTS.values() for variant in variants]
EVERY_VARIANT = [pytest.param(variant, id=variant.checkpoint.folder) for variant in ALL_VARIANTS]

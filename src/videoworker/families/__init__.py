"""How each architecture is run: one package per family, by the name that a model declares."""

from importlib import import_module
from typing import Any

from videoworker.families.family import Family
from videoworker.families.sound_family import SoundFamily


def family(name: str) -> Family[Any, Any]:
    """The family called `name`. Its package is imported here: a process imports no architecture but its own."""
    found: Family[Any, Any] = import_module(f"{__name__}.{name}").FAMILY
    return found


def family_of_sound(name: str) -> SoundFamily:
    """As `family`, of a sound model."""
    found: SoundFamily = import_module(f"{__name__}.{name}").SOUND_FAMILY
    return found

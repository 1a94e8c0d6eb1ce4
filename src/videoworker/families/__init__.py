"""How each architecture is run: one package per family, found by the name that a model declares."""

from importlib import import_module
from typing import Any

from videoworker.families.family import Family


def family(name: str) -> Family[Any, Any]:
    """The family called `name`. Its package is imported now: a process pays for the architecture that it runs alone."""
    found: Family[Any, Any] = import_module(f"{__name__}.{name}").FAMILY
    return found

"""Shows a value that a caller gave: short, JSON-safe and UTF-8-safe, whatever it was."""

import math
from collections.abc import Mapping
from typing import Any

LONGEST_SHOWN = 80  # characters


def shown(value: Any) -> str | int | float | bool | None:
    """The value itself where it is small and plain, else a few words about it. Containers are never looked into, so
    that no nesting is too deep. `shown(shown(x)) == shown(x)`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else _long_integer(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return shown_text(value)
    if isinstance(value, Mapping):
        return f"an object with {len(value)} fields"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    return f"a value of type {type(value).__name__}"


def shown_text(text: str) -> str:
    """At most `LONGEST_SHOWN` characters of `text`; lone surrogates, which UTF-8 cannot carry, become `?`."""
    short = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
    return short.encode("utf-8", "replace").decode("utf-8")


def _long_integer(value: int) -> str:
    """As text, since most readers of JSON hold no more than 64 bits; Python refuses to print the longest at all."""
    return str(value) if value.bit_length() <= 200 else f"an integer of {value.bit_length()} bits"

"""Quotes a caller's value in an error: short, and as JSON and UTF-8 can carry it, whatever the value is."""

import math
from collections.abc import Mapping
from typing import Any

_MAX_CHARACTERS = 80


def quoted(value: Any) -> str | int | float | bool | None:
    """The value itself if it is small and plain, else a few words about it.

    Containers are never looked into, so no nesting is too deep. `quoted(quoted(x)) == quoted(x)`.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else _quoted_long_integer(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _quoted_text(value)
    if isinstance(value, Mapping):
        return f"an object with {len(value)} fields"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    return f"a value of type {type(value).__name__}"


def _quoted_text(text: str) -> str:
    """At most `_MAX_CHARACTERS` of `text`. Lone surrogates, which UTF-8 cannot carry, become `?`."""
    short = text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"
    return short.encode("utf-8", "replace").decode("utf-8")


def _quoted_long_integer(value: int) -> str:
    """As text: most readers of JSON hold no more than 64 bits, and Python refuses to print the longest integers."""
    return str(value) if value.bit_length() <= 200 else f"an integer of {value.bit_length()} bits"

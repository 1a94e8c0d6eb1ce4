"""A prompt's text as it is counted and used: NFC, no control characters, no white space at its ends."""

import unicodedata
from typing import Any

from pydantic import BeforeValidator

LONGEST_TEXT = 10_000  # characters, if a document names no limit of its own

# Prompts to begin with. The first is one of those that the small model `sketch` has learnt to draw.
EXAMPLES = [
    "a red circle moving right on a blue background",
    "a sailing boat at sunrise, the camera rising",
    "rain on a window, city lights behind it",
]

# Unicode's control characters (category Cc). Those that stand between words become spaces, the others are removed.
_CONTROL: dict[int, str | None] = dict.fromkeys([*range(0x00, 0x20), *range(0x7F, 0xA0)])
_CONTROL |= dict.fromkeys(map(ord, "\t\n\v\f\r\x85"), " ")

# A composed character stands for at most four (Unicode's longest canonical decomposition). So a text longer than this
# cannot become short enough. It is not composed, because that takes quadratic time for the worst of texts.
_LONGEST_TO_COMPOSE = 4 * LONGEST_TEXT


def cleaned(text: str) -> str:
    """The text as it is counted and used. Lone surrogates stay, and the schema refuses them."""
    printable = text.replace("\r\n", "\n").translate(_CONTROL).strip()
    if len(printable) > _LONGEST_TO_COMPOSE:
        return printable
    return unicodedata.normalize("NFC", printable).strip()


def _clean(value: Any) -> Any:
    return cleaned(value) if isinstance(value, str) else value


def _clean_or_none(value: Any) -> Any:
    return _clean(value) or None if isinstance(value, str) else value


# For `Annotated[str, Field(max_length=...), CLEAN]`. The length is counted after cleaning.
CLEAN = BeforeValidator(_clean)
# The same for an optional text. An empty one counts as absent.
CLEAN_OR_NONE = BeforeValidator(_clean_or_none)

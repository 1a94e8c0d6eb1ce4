"""What counts as a prompt's text: NFC, no control characters, no white space at the ends."""

import unicodedata
from typing import Any

from pydantic import BeforeValidator

LONGEST_TEXT = 10_000  # characters; where a document names no limit of its own

# Unicode's control characters (category Cc): those that part words become spaces, the others vanish.
_CONTROL: dict[int, str | None] = dict.fromkeys([*range(0x00, 0x20), *range(0x7F, 0xA0)])
_CONTROL |= dict.fromkeys(map(ord, "\t\n\v\f\r\x85"), " ")

# A composed character stands for at most four (Unicode's longest canonical decomposition), so a text longer than this
# cannot become short enough. It is left as it is: composing takes quadratic time for the worst of texts.
_LONGEST_TO_COMPOSE = 4 * LONGEST_TEXT


def cleaned(text: str) -> str:
    """The text as it is counted and used. Lone surrogates are left for the schema to refuse."""
    printable = text.replace("\r\n", "\n").translate(_CONTROL).strip()
    if len(printable) > _LONGEST_TO_COMPOSE:
        return printable
    return unicodedata.normalize("NFC", printable).strip()


def _clean(value: Any) -> Any:
    return cleaned(value) if isinstance(value, str) else value


def _clean_or_none(value: Any) -> Any:
    return _clean(value) or None if isinstance(value, str) else value


# For `Annotated[str, Field(max_length=...), CLEAN]`: the length is counted after cleaning.
CLEAN = BeforeValidator(_clean)
# The same for an optional text where an empty one means none.
CLEAN_OR_NONE = BeforeValidator(_clean_or_none)

"""Base64 as callers send it: in either alphabet, with or without padding, folded, or with its `+` lost on the way."""

import base64
import re

_NOT_IN_ALPHABET = re.compile(r"[^A-Za-z0-9+/_= -]")
_FOLDING = str.maketrans("", "", "\t\n\v\f\r")


class NotBase64(ValueError):
    """Why a text is not base64, for the caller."""


def decode_base64(text: str) -> bytes:
    """The bytes. What can be read in two ways is refused. Raises `NotBase64`.

    The alphabets are those of RFC 4648, sections 4 and 5.
    """
    text = text.translate(_FOLDING).strip()
    if (wrong := _NOT_IN_ALPHABET.search(text)) is not None:
        raise NotBase64(f"as base64 it is wrong at character {wrong.start() + 1} ({wrong[0]!r})")
    if re.search("[+/]", text) and re.search("[-_]", text):
        raise NotBase64("as base64 it mixes two alphabets: + and / with - and _")
    digits = _without_blanks(text).rstrip("=").translate(str.maketrans("-_", "+/"))
    if "=" in digits:
        raise NotBase64("as base64 it has a = before its end")
    if len(digits) % 4 == 1:
        raise NotBase64("as base64 it is cut off: its last group has one character")
    return base64.b64decode(digits + "=" * (-len(digits) % 4))


def _without_blanks(text: str) -> str:
    """Blanks stand between groups, or each is a `+` that was decoded as a form's blank. The length tells which."""
    if " " not in text:
        return text
    separated, lost = text.replace(" ", ""), text.replace(" ", "+")
    if re.search("[+_-]", text):  # a form would have left no +, and the other alphabet has none
        return separated
    is_separated, is_lost = len(separated) % 4 == 0, len(lost) % 4 == 0
    if is_separated == is_lost:
        raise NotBase64("as base64 it has blanks, which may stand between groups or for a lost +")
    return separated if is_separated else lost

"""What a caller gives in a field of a request: from a URL, a data URI or base64 to bytes, which are counted.

Nothing in them is trusted, and they are not looked into here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import unquote, unquote_to_bytes

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.media.base64_text import NotBase64, decode_base64
from videoworker.media.download import MAX_SECONDS, DownloadRefused, download

_QUOTED_CHARACTERS = 50


@dataclass(frozen=True)
class Kind:
    """What a field may have: `name` is its first word in a data URI, `noun` with its article is for sentences.

    `allowed` says it all. A URL must be fetched in `max_seconds`.
    """

    code: Code
    name: str
    noun: str
    allowed: str
    max_bytes: int
    max_seconds: float = MAX_SECONDS

    def refuse(self, field: str, given: str, allowed: str, cause: Exception | None = None) -> NoReturn:
        """Raises `JobError` with this kind's code, naming `field`."""
        problem = FieldProblem(field, given, allowed)
        raise JobError(self.code, f"Invalid {self.name}: {problem}", (problem,)) from cause


def read(text: str, kind: Kind, field: str, check: Callable[[], None]) -> bytes:
    """The bytes that `text`, which stands in a request's `field`, has or leads to.

    `check` is called several times a second while a URL is fetched. Raises `JobError`: of the kind's code, naming
    `field`, or what `check` raises.
    """
    text = text.strip()
    if ":" not in text[:16]:
        return _decode_base64(text, text, kind, field)
    if text[:5].lower() == "data:":
        header, _, payload = text.partition(",")
        name, *parameters = header[5:].lower().split(";")
        is_base64 = "base64" in (parameter.strip() for parameter in parameters)
        if not name.strip().startswith(f"{kind.name}/") or not (is_base64 or "%" in payload):
            kind.refuse(field, quoted(text), f"a data URI must begin with data:{kind.name}/...;base64,")
        if is_base64:
            return _decode_base64(unquote(payload), text, kind, field)
        return _counted(unquote_to_bytes(payload), text, kind, field)
    try:
        return download(text, kind.max_bytes, check, kind.max_seconds)
    except DownloadRefused as refused:
        kind.refuse(field, quoted(text), f"the URL {refused}", refused)


def quoted(text: str) -> str:
    """The beginning of `text`. A URL loses its password and query, which may be secret."""
    text = text.strip()
    if "://" in text[:16]:
        text = re.sub(r"(?<=//)[^/]*@", "", text.partition("?")[0])
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}… ({len(text)} characters)"


def _decode_base64(payload: str, text: str, kind: Kind, field: str) -> bytes:
    if len(payload) * 3 // 4 > 2 * kind.max_bytes:  # half of it may be line breaks
        kind.refuse(field, quoted(text), f"{kind.noun} holds at most {kind.max_bytes} bytes")
    try:
        data = decode_base64(payload)
    except NotBase64 as error:
        kind.refuse(field, quoted(text), f"{kind.allowed}; {error}", error)
    return _counted(data, text, kind, field)


def _counted(data: bytes, text: str, kind: Kind, field: str) -> bytes:
    if len(data) > kind.max_bytes:
        kind.refuse(field, quoted(text), f"{kind.noun} holds at most {kind.max_bytes} bytes")
    return data

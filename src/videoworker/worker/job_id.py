"""A job's id: its caller's own, or else the platform's, made safe for file names and object keys."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from videoworker.apis.quoting import quoted
from videoworker.errors import Code, FieldProblem, JobError

_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def file_safe(job_id: Any) -> str:
    """`job_id` itself if it is a plain file name, as the platform's ids are.

    Else a plain name of at most 100 characters: the same for the same id, and another one for another id.
    """
    text = str(job_id)
    if _SAFE.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:80].strip("-")
    return f"{readable}-{digest}" if readable else digest


def own_id(job_input: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The id that the caller gives the job in `job_input["job_id"]`, None if there is none, and the input without it.

    A job that is submitted twice under one id is delivered to one place. Raises `JobError`."""
    rest = {name: value for name, value in job_input.items() if name != "job_id"}
    given = job_input.get("job_id")
    if given is None or (isinstance(given, str) and _SAFE.fullmatch(given)):
        return given, rest
    problem = FieldProblem("job_id", quoted(given), "a text of 1-100 letters, digits, '.', '_' and '-', not '.' first")
    raise JobError(Code.INVALID_FIELD, str(problem), (problem,))

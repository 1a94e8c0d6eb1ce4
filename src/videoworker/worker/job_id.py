"""A job's id made safe for file names and object keys."""

import hashlib
import re
from typing import Any

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

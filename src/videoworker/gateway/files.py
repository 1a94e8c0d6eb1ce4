"""A file as the answer to a request, with ranges and conditions as RFC 9110 has them."""

import re
from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

_RANGE = re.compile(r"bytes=\s*(\d+-\d*|-\d+)\s*(,\s*(\d+-\d*|-\d+)\s*)*", re.IGNORECASE)


class Conditions:
    """What a request's headers say about content whose `ETag` is `etag`. Only GET and HEAD have conditions.

    `is_unchanged`: the caller has it already. `range`: the part that it wants, None for all. A range that is none of
    bytes counts as absent (RFC 9110, 14.2), and so does one of another content (`If-Range`).
    """

    def __init__(self, scope: Scope, etag: str) -> None:
        headers = scope["headers"] if scope["method"] in ("GET", "HEAD") else ()
        told = {name: value.decode("latin-1") for name, value in headers}
        known = [one.strip().removeprefix("W/") for one in told.get(b"if-none-match", "").split(",")]
        self.is_unchanged = etag in known or "*" in known
        wanted = told.get(b"range", "")
        is_of_this = told.get(b"if-range", etag) == etag
        self.range = wanted if is_of_this and _RANGE.fullmatch(wanted) else None


class VideoFile(FileResponse):
    """`headers` has an `ETag` that names the content."""

    def __init__(self, path: Path, headers: dict[str, str], media_type: str) -> None:
        super().__init__(path, headers=headers, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        conditions = Conditions(scope, self.headers["etag"])
        if conditions.is_unchanged:
            unchanged = {name: self.headers[name] for name in ("etag", "cache-control")}
            await Response(status_code=304, headers=unchanged)(scope, receive, send)
            return
        if conditions.range is None:
            scope = {**scope, "headers": [one for one in scope["headers"] if one[0] != b"range"]}
        await super().__call__(scope, receive, send)

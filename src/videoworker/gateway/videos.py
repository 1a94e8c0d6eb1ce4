"""The bytes of finished videos: how they come here, how callers get them, and how they go.

A video lies in one of two places. If the gateway has the key of the worker's bucket, it stays there: callers get the
bytes through the gateway, by a link that is signed anew. Else it is a file in the gateway's own folder.

The bytes never come by a redirect: `curl -O`, which documents print, would leave an empty file.
"""

import asyncio
import base64
import binascii
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from videoworker.errors import Code, JobError
from videoworker.gateway.bucket import Bucket, BucketAwayError
from videoworker.gateway.files import Conditions, VideoFile
from videoworker.gateway.jobs import Job
from videoworker.request import Video

_CHUNK_BYTES = 256 * 1024
_SECONDS = httpx2.Timeout(60.0, connect=5.0)
_IMMUTABLE = "max-age=31536000, immutable"
_SERVED = (200, 206, 416)
_PASSED_ON = ("content-length", "content-range", "last-modified")


class VideoAwayError(Exception):
    """The bytes cannot be had now."""


class Videos:
    """Belongs to one event loop.

    `folder`: the gateway's own. `bucket`: the worker's; None if the gateway has no key. `served`: the folder that the
    endpoint serves, if that is on this machine and the gateway's alone."""

    def __init__(self, folder: Path, bucket: Bucket | None, served: Path | None = None) -> None:
        self._folder, self._bucket, self._served = folder, bucket, served
        self._client = httpx2.AsyncClient(timeout=_SECONDS, trust_env=False, headers={"Accept-Encoding": "identity"})
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(".*.partial"):
            partial.unlink()

    async def close(self) -> None:
        await self._client.aclose()

    async def keep(self, job: Job, video: Video, source: str) -> str | None:
        """Sees to it that the bytes are here. Returns the file's name; None if they are in the bucket. It may be done
        again.

        `source`: the video's URL or data URI. Raises `VideoAwayError`, and `JobError` if they cannot be had at all.
        """
        path = self._folder / f"{job.id}.{video.container}"
        if path.exists():
            return path.name
        if source.startswith("data:"):
            await asyncio.to_thread(_write, path, _decoded(source))
        elif self._served is not None and (made := self._served / job.id / f"video.{video.container}").exists():
            await asyncio.to_thread(_move, made, path)
        elif self._bucket is not None and await self._is_in_bucket(self._bucket, job.id, video):
            return None
        elif source.startswith(("https://", "http://")):
            await self._download(source, path, video)
        else:
            raise JobError(Code.DELIVERY_FAILED, "The video was made, but the endpoint gives no URL for it.")
        return path.name

    async def response(self, job: Job, request: Request, as_attachment: bool) -> Response:
        """The video's bytes, a part of them, or only their headers. Raises `VideoAwayError`."""
        assert job.video is not None  # or it would not be completed
        kind = "attachment" if as_attachment else "inline"
        headers = {
            "Cache-Control": _IMMUTABLE,
            "Content-Disposition": f'{kind}; filename="{job.name}"',
            "ETag": f'"{job.video.sha256}"',
        }
        media_type = f"video/{job.video.container}"
        if job.file is not None:
            path = self._folder / job.file
            if not path.exists():
                raise VideoAwayError
            return VideoFile(path, headers, media_type)
        if self._bucket is None:
            raise VideoAwayError
        url = self._bucket.url(job.id, job.video.container)
        return await self._passed_on(url, request, headers | {"Content-Type": media_type, "Accept-Ranges": "bytes"})

    async def file(self, job: Job, folder: Path) -> Path:
        """A file in `folder`, which is within the gateway's own, with a COMPLETED job's video. It outlives the job.
        Raises `VideoAwayError`."""
        assert job.video is not None  # or it would not be completed
        path = folder / job.name
        if job.file is not None:
            try:
                path.hardlink_to(self._folder / job.file)
            except FileNotFoundError as error:
                raise VideoAwayError from error
        elif self._bucket is not None:
            await self._download(self._bucket.url(job.id, job.video.container), path, job.video)
        else:
            raise VideoAwayError
        return path

    async def remove(self, job_id: str) -> None:
        """Removes the job's file, and all that workers have delivered for it. Raises `VideoAwayError`."""
        for path in self._folder.glob(f"{job_id}.*"):
            path.unlink(missing_ok=True)
        if self._served is not None:
            await asyncio.to_thread(shutil.rmtree, self._served / job_id, ignore_errors=True)
        if self._bucket is not None:
            try:
                await asyncio.to_thread(self._bucket.remove, job_id)
            except BucketAwayError as error:
                raise VideoAwayError from error

    async def _is_in_bucket(self, bucket: Bucket, job_id: str, video: Video) -> bool:
        url = bucket.url(job_id, video.container)
        async with self._get(url, {"Range": "bytes=0-0"}) as answer:
            if answer.is_success:
                return True
            if answer.status_code in (httpx2.codes.NOT_FOUND, httpx2.codes.FORBIDDEN):
                return False
            raise VideoAwayError

    async def _download(self, url: str, path: Path, video: Video) -> None:
        partial = path.with_name(f".{path.name}.partial")
        digest = hashlib.sha256()
        try:
            async with self._get(url, {}) as answer:
                if not answer.is_success:
                    raise VideoAwayError
                with partial.open("wb") as file:
                    async for chunk in answer.aiter_raw(_CHUNK_BYTES):
                        digest.update(chunk)
                        file.write(chunk)
                    file.flush()
                    await asyncio.to_thread(os.fsync, file.fileno())
            if digest.hexdigest() != video.sha256:
                raise VideoAwayError
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    async def _passed_on(self, url: str, request: Request, headers: dict[str, str]) -> Response:
        conditions = Conditions(request.scope, headers["ETag"])
        if conditions.is_unchanged:
            return Response(status_code=304, headers=headers)
        # A link is signed for GET, so a HEAD asks for one byte and learns the size.
        wanted = conditions.range or ("bytes=0-0" if request.method == "HEAD" else None)
        asked = {"Range": wanted} if wanted else {}
        try:
            answer = await self._client.send(self._client.build_request("GET", url, headers=asked), stream=True)
        except httpx2.TransportError as error:
            raise VideoAwayError from error
        if answer.status_code not in _SERVED:
            await answer.aclose()
            raise VideoAwayError
        told = headers | {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        if request.method != "HEAD" and answer.is_success:
            return _Passed(answer, told)
        await answer.aclose()
        if not answer.is_success:
            return Response(status_code=answer.status_code, headers={**told, "content-length": "0"})
        if conditions.range is None:
            size = told.pop("content-range", "").rpartition("/")[2] or told["content-length"]
            return Response(headers={**told, "content-length": size})
        return Response(status_code=answer.status_code, headers=told)

    @asynccontextmanager
    async def _get(self, url: str, headers: dict[str, str]) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._client.stream("GET", url, headers=headers) as answer:
                yield answer
        except httpx2.TransportError as error:
            raise VideoAwayError from error


class _Passed(StreamingResponse):
    """Passes an answer's body on, and closes it whenever the caller leaves."""

    def __init__(self, answer: httpx2.Response, headers: dict[str, str]) -> None:
        super().__init__(answer.aiter_raw(_CHUNK_BYTES), answer.status_code, headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.aclose()


def _decoded(source: str) -> bytes:
    """What a data URI holds. Raises `JobError`."""
    try:
        return base64.b64decode(source.partition(";base64,")[2], validate=True)
    except binascii.Error:
        raise JobError(Code.DELIVERY_FAILED, "The video was made, but its data cannot be read.") from None


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _move(made: Path, path: Path) -> None:
    """Takes the endpoint's file, and whatever lies beside it."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.move(made, partial)
    partial.replace(path)
    shutil.rmtree(made.parent, ignore_errors=True)

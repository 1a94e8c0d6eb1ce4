"""Fetching a caller's URL without letting it reach into the worker's own network.

Every address is judged when a socket is made for it. So it does not matter how the URL led there. Proxies and netrc
files of the environment are not used. One time limit holds for the whole fetch. So a server that answers byte by byte
cannot hold up the job.
"""

import asyncio
import re
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from yarl import URL

from videoworker import __version__
from videoworker.http.public_address import NotPublicError, public_socket
from videoworker.settings import settings

MAX_SECONDS = 30.0
_MAX_REDIRECTS = 5
_CHUNK_BYTES = 65536
_CHECK_SECONDS = 0.1
_HEADER_BYTES = 65536  # of one header: some stores and content security policies send more than aiohttp's 8,190
_AS_IT_CAME = re.compile(r"[!-~]+")


class DownloadRefused(Exception):
    """Why a URL was not fetched, for the caller. It never holds an address that a name resolved to."""


def unchecked() -> None:
    """The `check` of a download that is never stopped."""


def download(
    url: str, max_bytes: int, check: Callable[[], None] = unchecked, max_seconds: float = MAX_SECONDS
) -> bytes:
    """The body that an http(s) `url` leads to, after at most five redirects.

    `max_bytes` limits the body, `max_seconds` the whole fetch. `check` is called several times a second; what it raises
    ends the fetch. Each address must be public unless the setting `allow_private_urls` is on. Raises `DownloadRefused`.
    Blocks, so do not call it on the thread of an event loop.
    """
    try:
        address = URL(url)
        # The bytes of a signed URL go out as they came. Others than these must be quoted.
        if _AS_IT_CAME.fullmatch(url):
            address = URL(url, encoded=True)
    except ValueError as error:
        raise DownloadRefused("is not a URL") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise DownloadRefused("must begin with http:// or https:// and name a host")
    if address.user or address.password:
        raise DownloadRefused("must not hold a user name or password")
    public_only = not settings().allow_private_urls
    try:
        return asyncio.run(_checked(_fetch(address, max_bytes, max_seconds, public_only), check))
    except TimeoutError as error:
        raise DownloadRefused(f"took longer than {max_seconds:g} seconds to fetch") from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, NotPublicError):
            raise DownloadRefused("must lead to a public address") from error
        raise DownloadRefused("cannot be reached") from error
    except aiohttp.TooManyRedirects as error:
        raise DownloadRefused(f"redirects more than {_MAX_REDIRECTS} times") from error
    except (aiohttp.NonHttpUrlClientError, ValueError) as error:  # ValueError: aiohttp's InvalidURL, or a bad host name
        raise DownloadRefused("is not, or does not lead to, an http(s) URL") from error
    except aiohttp.ClientError as error:
        raise DownloadRefused("could not be fetched") from error


async def _checked(fetch: Coroutine[Any, Any, bytes], check: Callable[[], None]) -> bytes:
    """What `fetch` returns. If `check` raises, `asyncio.run` ends and cancels the fetch."""
    task = asyncio.create_task(fetch)
    while not (await asyncio.wait({task}, timeout=_CHECK_SECONDS))[0]:
        check()
    return task.result()


async def _fetch(url: URL, max_bytes: int, max_seconds: float, public_only: bool) -> bytes:
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=public_socket if public_only else None),
            timeout=aiohttp.ClientTimeout(total=max_seconds),
            headers={"User-Agent": f"videoworker/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,  # `_unpacked` has a limit
            requote_redirect_url=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        ) as session,
        session.get(url, max_redirects=_MAX_REDIRECTS + 1) as response,  # aiohttp refuses the redirect of this number
    ):
        if response.status != 200:
            raise DownloadRefused(f"answers with HTTP status {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > max_bytes:
                raise DownloadRefused(f"holds more than {max_bytes} bytes")
        return _unpacked(bytes(body), response.headers.get("Content-Encoding", ""), max_bytes)


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its content encoding: some servers compress although they were asked not to."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip" | "deflate":
            unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out which of both it is
            try:
                unpacked = unpacking.decompress(body, max_bytes + 1)
            except zlib.error as error:
                raise DownloadRefused("answers with a broken compression") from error
            if len(unpacked) > max_bytes:
                raise DownloadRefused(f"holds more than {max_bytes} bytes")
            if not unpacking.eof:
                raise DownloadRefused("answers with a broken compression")
            return unpacked
    raise DownloadRefused(f"answers with the content encoding {encoding[:20]!r}, which it was not asked for")

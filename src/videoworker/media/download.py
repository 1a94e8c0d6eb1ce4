"""Fetching a caller's URL without letting it reach into the worker's own network.

Every address is judged when a socket is made for it. So it does not matter how the URL led there. Proxies and netrc
files of the environment are not used. One time limit holds for the whole fetch. So a server that answers byte by byte
cannot hold up the job.
"""

import asyncio
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
            auto_decompress=False,  # the limit is for the bytes received; pictures are compressed already
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
        return bytes(body)

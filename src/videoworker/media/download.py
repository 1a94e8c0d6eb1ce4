"""Fetching a caller's URL without letting it reach into the worker's own network.

Every address is judged at the moment a socket is made for it, so it does not matter how it came about: written as a
number, resolved from a name (the same way twice or not), or named by a redirect. Nothing of the environment goes out:
no proxy, no netrc. One clock runs over the whole fetch, so that a server that answers byte by byte cannot hold the job.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from yarl import URL

from videoworker import __version__
from videoworker.public_address import is_public
from videoworker.settings import settings

MOST_SECONDS = 30.0
_MOST_REDIRECTS = 5
_CHUNK_BYTES = 65536
_CHECK_SECONDS = 0.1


class DownloadRefused(Exception):
    """Why a URL was not fetched, in words for the caller. Holds no address that a name resolved to."""


class _NotPublic(OSError):
    """An OSError, so that a name with several addresses goes on to the next one."""


def unchecked() -> None:
    """The check of a download that nothing stops."""


def download(
    url: str, max_bytes: int, check: Callable[[], None] = unchecked, max_seconds: float = MOST_SECONDS
) -> bytes:
    """The body of an http(s) `url` of a public address, at most `max_bytes` long, after at most five redirects, within
    `max_seconds` from first to last byte. Raises `DownloadRefused`, and what `check` raises, which is called several
    times a second. Blocks; not to be called on an event loop's thread.

    The setting `allow_private_urls` lifts the limit to public addresses and nothing else.
    """
    try:
        address = URL(url)
    except ValueError as error:
        raise DownloadRefused("is not a URL") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise DownloadRefused("must begin with http:// or https:// and name a host")
    if address.user or address.password:
        raise DownloadRefused("must not hold a user name or password")
    try:
        return asyncio.run(_checked(_fetch(address, max_bytes, max_seconds), check))
    except TimeoutError as error:
        raise DownloadRefused(f"took longer than {max_seconds:g} seconds to fetch") from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, _NotPublic):
            raise DownloadRefused("must lead to a public address") from error
        raise DownloadRefused("cannot be reached") from error
    except aiohttp.TooManyRedirects as error:
        raise DownloadRefused(f"redirects more than {_MOST_REDIRECTS} times") from error
    except (aiohttp.NonHttpUrlClientError, ValueError) as error:  # ValueError: aiohttp's InvalidURL, or no host's name
        raise DownloadRefused("is not, or does not lead to, an http(s) URL") from error
    except aiohttp.ClientError as error:
        raise DownloadRefused("could not be fetched") from error


async def _checked(fetch: Coroutine[Any, Any, bytes], check: Callable[[], None]) -> bytes:
    """What `fetch` gives. Where `check` raises, the end of the loop cancels it."""
    task = asyncio.create_task(fetch)
    while not (await asyncio.wait({task}, timeout=_CHECK_SECONDS))[0]:
        check()
    return task.result()


async def _fetch(url: URL, max_bytes: int, max_seconds: float) -> bytes:
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=_socket_to_public),
            timeout=aiohttp.ClientTimeout(total=max_seconds),
            headers={"User-Agent": f"videoworker/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,  # the limit is on what is received, and pictures are compressed already
        ) as session,
        session.get(url, max_redirects=_MOST_REDIRECTS + 1) as response,  # aiohttp gives up at the number itself
    ):
        if response.status != 200:
            raise DownloadRefused(f"answers with HTTP status {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > max_bytes:
                raise DownloadRefused(f"holds more than {max_bytes} bytes")
        return bytes(body)


def _socket_to_public(target: tuple[Any, ...]) -> socket.socket:
    """Makes the socket for one address, as getaddrinfo describes it, where that address may be connected to."""
    family, kind, protocol, _, sockaddr = target
    if not (settings().allow_private_urls or is_public(sockaddr[0])):
        raise _NotPublic("not a public address")
    return socket.socket(family, kind, protocol)

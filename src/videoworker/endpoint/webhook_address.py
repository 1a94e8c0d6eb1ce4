"""Where a webhook may go: callers name its URL, so it must not lead into the endpoint's own network.

It is judged when the job comes in, so that its caller learns of it, and again at the moment a socket is made for an
address, as a name may lead elsewhere by then.
"""

import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from videoworker.public_address import is_public


class NotPublicError(OSError):
    """An OSError, so that a name with several addresses goes on to the next one."""


async def may_be_public(url: str) -> bool:
    """Whether the URL's host has a public address, or none that can be found out now."""
    resolver = aiohttp.DefaultResolver()
    try:
        found = await resolver.resolve(urlsplit(url).hostname or "", family=socket.AF_UNSPEC)
    except OSError:
        return True
    finally:
        await resolver.close()
    return any(is_public(address["host"]) for address in found)


def public_socket(target: tuple[Any, ...]) -> socket.socket:
    """Makes the socket for one address, as getaddrinfo describes it. Raises `NotPublicError` where it is not public."""
    family, kind, protocol, _, sockaddr = target
    if not is_public(sockaddr[0]):
        raise NotPublicError("not a public address")
    return socket.socket(family, kind, protocol)

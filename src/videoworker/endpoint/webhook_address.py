"""Whether a webhook's URL leads to a public address, judged when its job is submitted.

The caller then learns at once that it does not. The name may lead elsewhere when the webhook is sent, so
`videoworker.http.public_address` judges again at that time.
"""

import socket
from urllib.parse import urlsplit

import aiohttp

from videoworker.http.public_address import is_public


async def may_be_public(url: str) -> bool:
    """Whether the URL's host has a public address. True also if its addresses cannot be found out now."""
    resolver = aiohttp.DefaultResolver()
    try:
        found = await resolver.resolve(urlsplit(url).hostname or "", family=socket.AF_UNSPEC)
    except OSError:
        return True
    finally:
        await resolver.close()
    return any(is_public(address["host"]) for address in found)

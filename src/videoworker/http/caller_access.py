"""Which callers are let in.

If there are API keys, a caller must send one of them. If there are none, only programs on this machine may call.
"""

import ipaddress
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from videoworker.http.own_site import refuse_other_sites
from videoworker.http.sent_key import is_sent


class CallerAccess:
    """Decides for one service."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys

    async def check(self, request: Request) -> None:
        """Raises `HTTPException` 401 if the key is missing or wrong. Raises 403 if a browser calls for another site's
        page, or if a call without keys is not local."""
        refuse_other_sites(request)
        if self._keys:
            if not is_sent(request, self._keys):
                raise HTTPException(401, "The Authorization header holds no valid API key.")
        elif not _is_local(request):
            raise HTTPException(403, "Without API_KEYS only this machine's own programs may call.")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which others cannot reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_local(request: Request) -> bool:
    """Whether a program on this machine calls, or a page of this service.

    Another page can call under a name of its own that leads to this machine (DNS rebinding). Then the browser takes the
    page for one of this service, but it sends that name as the host.
    """
    origin = request.headers.get("origin")
    try:
        here = urlsplit(f"//{request.headers.get('host', '')}")
        is_of_another = origin is not None and urlsplit(origin).netloc != here.netloc
    except ValueError:  # no URL has such a host
        return False
    return is_loopback(here.hostname or "") and not is_of_another

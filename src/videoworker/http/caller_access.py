"""Which callers are let in.

If there are API keys, a caller must send one of them. If there are none, only programs on this machine may call.
"""

import hmac
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

_LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


class CallerAccess:
    """Decides for one service. `keys` are its API keys."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys

    async def check(self, request: Request) -> None:
        """Raises `HTTPException` 401 if the key is missing or wrong, and 403 if a call without keys is not local."""
        if self._keys:
            if not self._has_valid_key(request):
                raise HTTPException(401, "The Authorization header holds no valid API key.")
            return
        # A browser on this machine sends requests for any page that it shows. Such a request names a host that is not
        # local (DNS rebinding), or an origin that is not this service.
        origin = request.headers.get("origin")
        if request.url.hostname not in _LOCAL_HOSTS or (origin and urlsplit(origin).netloc != request.url.netloc):
            raise HTTPException(403, "Without API_KEYS only this machine's own programs may call.")

    def _has_valid_key(self, request: Request) -> bool:
        """The header holds the key alone or after `Bearer`: RunPod accepts both.

        Every key is compared, each in constant time, so the time taken tells nothing about the keys.
        """
        sent = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        return any([hmac.compare_digest(sent, key.encode()) for key in self._keys])

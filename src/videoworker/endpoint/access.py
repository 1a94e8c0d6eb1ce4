"""Who may call: holders of an API key, this machine alone where there is no key, and workers with the endpoint's token.

The SDK's worker may send the key of RunPod's own configuration file instead of the one it is given, so a worker is also
known by the `token` in its URLs, which the SDK keeps.
"""

import hmac
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

_LOCAL = {"127.0.0.1", "localhost", "::1"}


class Access:
    def __init__(self, keys: tuple[str, ...], worker_token: str) -> None:
        self.worker_token = worker_token
        self._keys = keys

    async def caller(self, request: Request) -> None:
        """Raises `HTTPException` 401 or 403."""
        if self._keys:
            if not self._has_key(request):
                raise HTTPException(401, "The Authorization header holds no valid API key.")
            return
        # a page that a browser on this machine shows must not reach the endpoint through it
        origin = request.headers.get("origin")
        if request.url.hostname not in _LOCAL or (origin and urlsplit(origin).netloc != request.url.netloc):
            raise HTTPException(403, "Without API_KEYS only this machine's own programs may call.")

    async def worker(self, request: Request) -> None:
        """Raises `HTTPException` 401 or 403. A token that is wrong is that of an endpoint which is no more."""
        token = request.query_params.get("token")
        if token is None:
            await self.caller(request)
        elif not hmac.compare_digest(token.encode(), self.worker_token.encode()):
            raise HTTPException(401, "The worker's token is not this endpoint's.")

    def _has_key(self, request: Request) -> bool:
        """RunPod takes the key with and without `Bearer`."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        return any([hmac.compare_digest(given, key.encode()) for key in self._keys])

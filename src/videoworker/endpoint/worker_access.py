"""Which workers are let in.

A worker sends the endpoint's token in its URL, as `?token=`. It should send it as an API key too, but the SDK may send
another key: that of RunPod's configuration file. The SDK never changes the URL.
"""

import hmac

from fastapi import HTTPException, Request

from videoworker.http.caller_access import CallerAccess


class WorkerAccess:
    """Decides for one endpoint. `token` is new each time the endpoint starts."""

    def __init__(self, token: str, callers: CallerAccess) -> None:
        self._token, self._callers = token, callers

    async def check(self, request: Request) -> None:
        """A request with a token must have this endpoint's. One without a token must be let in as a caller's is.

        Raises `HTTPException` 401 or 403. A wrong token is usually that of an endpoint that has ended.
        """
        token = request.query_params.get("token")
        if token is None:
            await self._callers.check(request)
        elif not hmac.compare_digest(token.encode(), self._token.encode()):
            raise HTTPException(401, "The worker's token is not this endpoint's.")

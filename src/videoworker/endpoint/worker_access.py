"""Which workers are let in, each under its own id.

Ownership: whoever starts a worker's process calls `admit`, and `dismiss` once the process has ended. Between the two
calls the worker's token opens the routes of that worker's id, and nothing else does. The SDK sends the token in the
`Authorization` header. It logs URLs, so no URL holds a token. An API key opens no worker's route.
"""

import secrets

from fastapi import HTTPException, Request

from videoworker.http.own_site import refuse_other_sites
from videoworker.http.sent_key import is_sent


class WorkerAccess:
    """Decides for one endpoint. `shared`: the token of workers that somebody else starts, under any id. None: there
    are no such workers."""

    def __init__(self, shared: str | None) -> None:
        self._shared = shared
        self._tokens: dict[str, str] = {}  # by worker id

    def admit(self, worker_id: str) -> str:
        """A new token, with which this worker is let in."""
        self._tokens[worker_id] = secrets.token_urlsafe(32)
        return self._tokens[worker_id]

    def dismiss(self, worker_id: str) -> None:
        """The worker's token opens nothing any more."""
        self._tokens.pop(worker_id, None)

    async def check(self, request: Request) -> None:
        """Raises `HTTPException` 401 unless the request holds the token of the worker that its path names."""
        refuse_other_sites(request)
        tokens = (self._tokens.get(request.path_params["worker_id"]), self._shared)
        if not is_sent(request, tuple(token for token in tokens if token is not None)):
            raise HTTPException(401, "The Authorization header does not hold this worker's token.")

"""Whether a browser sends a request for a page of this service, or for a page of another site.

A browser sends requests for any page that it shows, also to addresses that only its own machine reaches. A page cannot
read the answers to those that go to another site, but they do what they ask for. `Sec-Fetch-Site` (W3C, Fetch Metadata)
tells such a request; a page cannot change it. Programs do not send it.
"""

from fastapi import HTTPException, Request

_OWN = {"same-origin", "none"}  # of a page of this service; typed or opened by the user


def refuse_other_sites(request: Request) -> None:
    """Raises `HTTPException` 403 if a browser sends the request for another site's page, whatever its method."""
    if request.headers.get("sec-fetch-site", "none").strip().lower() not in _OWN:
        raise HTTPException(403, "Pages of other sites may not call.")

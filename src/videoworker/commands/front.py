"""The HTTP APIs that a command serves, and where they listen.

Other commands do without this file: what it imports is not in the worker's image.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import typer

from videoworker.gateway import server
from videoworker.gateway.apis import FORMS
from videoworker.gateway.apis.form import HttpForm
from videoworker.gateway.app import make_app
from videoworker.gateway.service import Core
from videoworker.gateway.settings import GatewaySettings
from videoworker.http.listening import CannotStartError, listening, url_of

_ALL = "all"
_SHARED_PORT = 8000  # of several APIs, which are under prefixes


class Front:
    """Listens from the start."""

    def __init__(self, names: Sequence[str], host: str, port: int | None, settings: GatewaySettings) -> None:
        """`names`: of APIs, or `all`. `port` None: that of the settings, else that of the API's document. Raises
        `CannotStartError`."""
        self._forms = _chosen(names)
        of_document = self._forms[0].port if len(self._forms) == 1 else _SHARED_PORT
        port = next(one for one in (port, settings.port, of_document) if one is not None)
        self._sockets = listening(host, port)
        if settings.port_health is not None and settings.port_health != port:
            self._sockets += _also_listening(host, settings.port_health)

    @property
    def url(self) -> str:
        """At which this machine reaches it."""
        return url_of(self._sockets[0])

    async def serve(self, opened: AbstractAsyncContextManager[Core], ending: asyncio.Event) -> None:
        """Until `ending` is set. Raises what `opened` raises."""
        async with opened as core:
            app = make_app(core, self._forms)  # it may take seconds
            typer.echo(f"serving {self.url} with {', '.join(form.api.name for form in self._forms)}")
            await server.serve(self._sockets, app, core, ending)


def _also_listening(host: str, port: int) -> list[socket.socket]:
    try:
        return listening(host, port)
    except CannotStartError as error:
        raise CannotStartError(f"PORT_HEALTH: {error}") from error


def _chosen(names: Sequence[str]) -> list[HttpForm]:
    if _ALL in names:
        return list(FORMS.values())
    for name in names:
        if name not in FORMS:
            raise CannotStartError(f"--api: must be one of {', '.join(FORMS)} and {_ALL} (given: {name})")
    return [FORMS[name] for name in dict.fromkeys(names)]

"""What `videoworker gateway` and `videoworker serve` take in common: which APIs, and where they listen."""

import socket
import sys
from collections.abc import Sequence

from videoworker.gateway.apis import FORMS
from videoworker.gateway.apis.form import HttpForm
from videoworker.gateway.server import sockets_for

ALL = "all"
_SHARED_PORT = 8000  # of several APIs, which are under prefixes


def chosen(names: Sequence[str]) -> list[HttpForm]:
    """The APIs of these names; `all` stands for every one. Ends the process with one line if there is
    none of a name."""
    if ALL in names:
        return list(FORMS.values())
    for name in names:
        if name not in FORMS:
            sys.exit(f"--api: must be one of {', '.join(FORMS)} and {ALL} (given: {name})")
    return [FORMS[name] for name in dict.fromkeys(names)]


def listen(host: str, port: int | None, forms: Sequence[HttpForm]) -> list[socket.socket]:
    """Listening sockets. `port` None: that of the API's document. Ends the process with one line if it cannot."""
    wanted = port if port is not None else forms[0].port if len(forms) == 1 else _SHARED_PORT
    try:
        return sockets_for(host, wanted)
    except OSError as error:
        sys.exit(f"--host {host} --port {wanted}: {error.strerror or error}")


def url_of(sock: socket.socket) -> str:
    """A URL at which this machine reaches a listening socket."""
    address, port = sock.getsockname()[:2]
    reached = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(address, address)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"

"""Where a service listens."""

import socket


class CannotStartError(Exception):
    """A service cannot start. The message names the option or the variable that is to blame."""


def listening(host: str, port: int) -> list[socket.socket]:
    """Listening sockets. `localhost` stands for both loopback addresses, `::` for all addresses of both kinds. Raises
    `CannotStartError`."""
    try:
        if host == "localhost":
            return _loopback(port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        is_both = host == "::" and socket.has_dualstack_ipv6()
        return [_listening(host, port, family, is_both)]
    except OSError as error:
        raise CannotStartError(f"--host {host} --port {port}: {error.strerror or error}") from error


def url_of(sock: socket.socket) -> str:
    """A URL at which this machine reaches a listening socket."""
    address, port = sock.getsockname()[:2]
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
    return f"http://{reached}:{port}"


def _loopback(port: int) -> list[socket.socket]:
    first = _listening("127.0.0.1", port)
    try:
        return [first, _listening("::1", first.getsockname()[1], socket.AF_INET6)]
    except OSError:  # this machine has no IPv6
        return [first]


def _listening(host: str, port: int, family: int = socket.AF_INET, is_both: bool = False) -> socket.socket:
    """An answer's head and body are written apart. Without TCP_NODELAY, which connections take over from here, the body
    may wait 40 ms for the caller to acknowledge the head. asyncio sets it only on sockets that name their protocol."""
    sock = socket.create_server((host, port), family=family, dualstack_ipv6=is_both)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock

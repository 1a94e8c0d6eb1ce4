"""Sockets that take what a server has and ask for nothing: how they are opened, and when the server has closed them."""

import select
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

PATIENCE = 100.0  # seconds after which a server is said never to answer or close
PATH = b"/v2/local"
HEALTH = b"GET %s/health HTTP/1.1\r\nHost: 127.0.0.1\r\n" % PATH  # without the end of the head
RUN = b"POST %s/run HTTP/1.1\r\nHost: 127.0.0.1\r\n" % PATH

# What is sent before the caller falls silent.
HALF_HEADS = {
    "nothing": b"",
    "half a line": HEALTH[:7],
    "half a head": HEALTH,
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half a second head": HEALTH + b"\r\n" + HEALTH,
}
HALF_BODIES = {
    "half a body": RUN + b"Content-Length: 100\r\n\r\n{",
    "half a chunk": RUN + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "half a body for nobody": RUN.replace(b"run", b"nothing") + b"Content-Length: 100\r\n\r\n{",
}


def connect(url: str, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """A socket from `source`, over which `sent` went out, as far as the server let it."""
    at = urlsplit(url)
    assert at.hostname is not None and at.port is not None
    sock = socket.create_connection((at.hostname, at.port), PATIENCE, (source, 0))
    with suppress(ConnectionError):
        sock.sendall(sent)
    return sock


def answer(sock: socket.socket) -> bytes:
    """All that comes until the server closes. Raises `TimeoutError` if nothing comes for `PATIENCE`."""
    received = bytearray()
    with suppress(ConnectionError):
        while data := sock.recv(2**16):
            received += data
    return bytes(received)


def wait_for_close(sockets: Iterable[socket.socket], seconds: float) -> list[socket.socket]:
    """Reads until the server has closed all of them. Those that are open after so many seconds are given back."""
    still_open = {sock.fileno(): sock for sock in sockets}
    poll = select.poll()
    for number in still_open:
        poll.register(number, select.POLLIN)
    until = time.monotonic() + seconds
    while still_open and (left := until - time.monotonic()) > 0:
        for number, _ in poll.poll(1000 * left):
            if _is_at_end(still_open[number]):
                poll.unregister(number)
                del still_open[number]
    return list(still_open.values())


def _is_at_end(sock: socket.socket) -> bool:
    try:
        return not sock.recv(2**16)
    except ConnectionError:
        return True

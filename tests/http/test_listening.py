"""Where a service listens, and how its connections are set up."""

import socket

import pytest

from videoworker.http.listening import listening


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::"])
def test_no_answer_waits_for_an_acknowledgement(host: str) -> None:
    for sock in listening(host, 0):
        with sock, socket.create_connection(sock.getsockname()[:2]), sock.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

"""Which addresses are public, and sockets for those alone."""

import socket

import pytest

from videoworker.http.public_address import NotPublicError, is_public, public_socket

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:100.64.0.1",
    "64:ff9b::a9fe:a9fe",
    "2001:db8::1",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


def address(host: str) -> tuple[object, ...]:
    """As `socket.getaddrinfo` describes it."""
    [found] = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return found


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700::1111"])
def test_public(host: str) -> None:
    assert is_public(host)


def test_socket() -> None:
    with public_socket(address("1.1.1.1")) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)


@pytest.mark.parametrize("host", PRIVATE)
def test_private(host: str) -> None:
    assert not is_public(host)
    with pytest.raises(NotPublicError):
        public_socket(address(host))


@pytest.mark.parametrize("host", ["", "example.com", "127.1", "2130706433"])
def test_not_an_address(host: str) -> None:
    with pytest.raises(ValueError):
        is_public(host)

"""Which IP addresses a caller may send us to: those of the public internet, none of our own network.

An address is judged when a socket is made for it. So it does not matter how the address came about: written as a
number, resolved from a name, or named by a redirect.
"""

import ipaddress
import socket
from typing import Any

_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291; every other address is local or stands for an IPv4 one
_IPV6_6TO4 = ipaddress.IPv6Network("2002::/16")  # RFC 3056: carries an IPv4 address, which may be any


class NotPublicError(OSError):
    """The address is not public. It is an `OSError`, so that a client goes on to a name's next address."""


def is_public(host: str) -> bool:
    """Whether `host`, an IP address as text, is public. Raises `ValueError` if it is not an IP address."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return address.is_global and address in _IPV6_UNICAST and address not in _IPV6_6TO4
    return address.is_global and not address.is_multicast


def public_socket(address: tuple[Any, ...]) -> socket.socket:
    """An unconnected socket for `address`, which is as `socket.getaddrinfo` describes one. Raises `NotPublicError`.

    It is a `socket_factory` for aiohttp's `TCPConnector`.
    """
    family, kind, protocol, _, sockaddr = address
    if not is_public(sockaddr[0]):
        raise NotPublicError("not a public address")
    return socket.socket(family, kind, protocol)

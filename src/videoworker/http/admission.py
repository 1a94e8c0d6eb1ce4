"""Which connections a server keeps if there are too many.

No caller's network may have more than half of them. So one caller cannot keep the others out. A connection that is one
too many takes the place of one whose caller waits for nothing. If there is none, it is refused.
"""

import ipaddress
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

from uvicorn.server import ServerState

from videoworker.http.limits import Limits

_IPV6_PREFIX = 64  # what one caller has at least (RFC 6177)


class Admitted(Protocol):
    """A connection as it counts here."""

    network: str

    @property
    def has_asked(self) -> bool:
        """Whether a whole request's head has come, ever."""

    @property
    def is_owed(self) -> bool:
        """Whether a request waits for its answer."""

    def drop(self) -> None:
        """Ends it at once."""

    def check(self, now: float) -> None:
        """Ends it if it is overdue. `now` is of the event loop's clock."""


class Admission(ServerState):
    """A server's connections and the limits for all of them. `most` is how many there may be."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits, self.most = limits, limits.connections
        self._by_network: dict[str, dict[Admitted, None]] = {}

    def enter(self, connection: Admitted) -> bool:
        """Whether the connection may stay. To make room, another one may be dropped."""
        same = self._by_network.get(connection.network, {})
        if len(same) >= max(1, self.most // 2):
            has_room = _drop_one(same)
        elif sum(map(len, self._by_network.values())) >= self.most:
            has_room = _drop_one(max(self._by_network.values(), key=len))
        else:
            has_room = True
        if has_room:
            self._by_network.setdefault(connection.network, {})[connection] = None
        return has_room

    def leave(self, connection: Admitted) -> None:
        """Frees its place, if it has one."""
        same = self._by_network.get(connection.network, {})
        same.pop(connection, None)
        if not same:
            self._by_network.pop(connection.network, None)

    def __iter__(self) -> Iterator[Admitted]:
        return iter(list(chain.from_iterable(self._by_network.values())))


def network(host: str) -> str:
    """Whose connection it is: an IPv4 address, or the network of an IPv6 address."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))


def _drop_one(connections: dict[Admitted, None]) -> bool:
    """The oldest that never asked anything, else the oldest that is owed nothing. False if there is none."""
    unasked = (one for one in connections if not one.has_asked)
    idle = (one for one in connections if not one.is_owed)
    dropped = next(unasked, None) or next(idle, None)
    if dropped is not None:
        dropped.drop()
    return dropped is not None

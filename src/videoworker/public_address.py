"""Which internet addresses a caller may send the worker to: those that everybody can reach, none of its own network."""

import ipaddress

_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291; all that is outside it is local or stands for IPv4
_IPV6_6TO4 = ipaddress.IPv6Network("2002::/16")  # RFC 3056: carries an IPv4 address that may be anything


def is_public(host: str) -> bool:
    """Whether `host`, an IP address in text, is a public one. Raises `ValueError` where it is no address."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return address.is_global and address in _IPV6_UNICAST and address not in _IPV6_6TO4
    return address.is_global and not address.is_multicast

"""Absolute URLs of the gateway's own paths."""

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request

from videoworker.gateway.settings import GatewaySettings


def absolute_url(request: Request, path: str, settings: GatewaySettings) -> str:
    """The URL of `path`, which begins with a slash, of the API that `request` is for.

    It is PUBLIC_BASE_URL's if that is set. Else it is that of the caller's own Host header if that is an address or
    `localhost`. Any other name may be an attacker's, so then the URL has the address that was called.
    """
    return f"{settings.public_base_url or _called(request)}{request.scope.get('root_path', '')}{path}"


def _called(request: Request) -> str:
    host = request.headers.get("host", "")
    if _is_address(host):
        return f"{request.url.scheme}://{host}"
    address, port = request.scope["server"]
    return f"{request.url.scheme}://{f'[{address}]' if ':' in address else address}:{port}"


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False

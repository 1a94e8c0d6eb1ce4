"""The key that a request carries, and how it is compared."""

import hmac

from fastapi import Request


def is_sent(request: Request, keys: tuple[str, ...]) -> bool:
    """Whether the `Authorization` header holds one of `keys`, alone or after `Bearer`: RunPod accepts both.

    Clients send a key outside ASCII as UTF-8 or as Latin-1. Every key is compared, each in constant time, so the time
    taken tells nothing about the keys.
    """
    sent = request.headers.get("authorization", "").encode("latin-1")  # the bytes as they came
    scheme, _, rest = sent.partition(b" ")
    if scheme.lower() == b"bearer":  # RFC 9110: a scheme's case means nothing
        sent = rest.lstrip(b" ")
    forms = [key.encode() for key in keys] + [key.encode("latin-1") for key in keys if max(key) <= "\xff"]
    return any([hmac.compare_digest(sent, form) for form in forms])

"""The bearer tokens of the `cogvideox` API, of which only hashes are kept.

A token is long and random, so a plain SHA-256 of it cannot be turned back.
"""

import hashlib
import hmac
import re

import structlog

from videoworker.gateway.settings import GatewaySettings
from videoworker.http.listening import CannotStartError

_MARK = "sha256:"
_HASH = re.compile(r"[0-9a-fA-F]{64}")

_log = structlog.get_logger()


class Tokens:
    """Those that are let in."""

    def __init__(self, hashes: tuple[bytes, ...]) -> None:
        self._hashes = hashes

    @classmethod
    def of(cls, settings: GatewaySettings) -> "Tokens":
        """Reads both settings. Raises `CannotStartError` that names the one that is wrong, without what is in it."""
        given = settings.cogvideox_tokens.get_secret_value().split(",") if settings.cogvideox_tokens else []
        hashes = [_hash(one.strip(), "COGVIDEOX_TOKENS") for one in given if one.strip()]
        if settings.cogvideox_tokens_file is not None:
            try:
                lines = settings.cogvideox_tokens_file.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                raise CannotStartError(f"COGVIDEOX_TOKENS_FILE: {reason}") from error
            for number, line in enumerate(map(str.strip, lines), 1):
                if line and not line.startswith("#"):
                    hashes.append(_listed(line, f"COGVIDEOX_TOKENS_FILE: line {number}"))
        if not hashes:
            _log.warning(
                "cogvideox has no tokens, so it makes no videos; set COGVIDEOX_TOKENS or COGVIDEOX_TOKENS_FILE"
            )
        return cls(tuple(hashes))

    def knows(self, token: str) -> bool:
        """Every hash is compared, each in constant time."""
        sent = hashlib.sha256(token.encode("latin-1")).digest()  # the bytes as they came
        return any([hmac.compare_digest(sent, one) for one in self._hashes])


def _hash(given: str, source: str) -> bytes:
    """Of a token, or the one that is given instead of it."""
    return _listed(given, source) if given.startswith(_MARK) else hashlib.sha256(given.encode()).digest()


def _listed(given: str, source: str) -> bytes:
    digits = given.removeprefix(_MARK)
    if not given.startswith(_MARK) or not _HASH.fullmatch(digits):
        raise CannotStartError(f"{source}: must be {_MARK} and the 64 hexadecimal digits of a token's hash")
    return bytes.fromhex(digits)

"""Links to videos that work for whoever has them, if callers need API keys.

A link holds a path that nobody can guess, and the job's id. The path is in no log line, so a job's id from the log
opens nothing. It follows from the first API key: it stays the same until that key is changed.
"""

import hashlib
from base64 import urlsafe_b64encode

_SALT = b"links to videos"


def path(keys: tuple[str, ...]) -> str:
    """The path, with a slash in front, under which `/files` is open to everyone. `keys`: at least one.

    It takes about a tenth of a second, so that a short key cannot be guessed quickly from a link.
    """
    derived = hashlib.scrypt(keys[0].encode(), salt=_SALT, n=2**14, r=8, p=4, dklen=18)
    return f"/links/{urlsafe_b64encode(derived).decode()}"

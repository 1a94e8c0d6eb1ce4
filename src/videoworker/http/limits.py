"""What a caller may take of a server before anybody knows who it is: bytes, seconds and connections."""

import resource
from dataclasses import dataclass

from videoworker.http.body import BODY_SECONDS

_DESCRIPTORS = 4096


@dataclass(frozen=True)
class Limits:
    """Of one server. None of them depends on what is asked."""

    # A request's line and headers. nginx has the same.
    head_bytes: int = 32 * 1024
    # From the connection, or from a later request's first byte, until the whole head is there.
    head_seconds: float = 10.0
    # From the head until the whole body is there. Whoever reads the body gives up first, and says so.
    body_seconds: float = BODY_SECONDS + 5
    # A caller must take `unread_bytes` of an answer in so many seconds. Browsers stop reading while a video is paused.
    # They ask for the rest later.
    unread_seconds: float = 60.0
    unread_bytes: int = 32 * 1024
    # Until a connection without a request is closed.
    idle_seconds: int = 60
    # Each can hold about 320 KiB: what is read at once, and what a body's reader has not taken yet.
    connections: int = 1000


def allowed_connections(wanted: int) -> int:
    """How many connections the process's limit on descriptors allows, `wanted` at most.

    The limit is raised as far as it is of use. A quarter of it is for connections. The rest is for the files that they
    read, for the database and the workers, and for connections that are accepted but not counted yet.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    if soft != infinite and soft < _DESCRIPTORS:
        soft = _DESCRIPTORS if hard == infinite else min(hard, _DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == infinite else min(wanted, soft // 4)

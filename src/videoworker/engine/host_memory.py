"""The memory of the machine, or of the container if that has less."""

from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")

# Of both versions of control groups: where the limit stands, where the use, and which part of that cannot be taken
# back from its owner. Pages of files can.
_VERSIONS = (("memory.max", "memory.stat", "anon"), ("memory/memory.limit_in_bytes", "memory/memory.stat", "rss"))


def free_bytes(groups: Path = _GROUPS) -> int:
    """Bytes that this process has or could have. `groups` tells a container's limit."""
    return min([psutil.virtual_memory().available, *_left(groups)]) + held_bytes()


def held_bytes() -> int:
    """Bytes that this process has, without pages of files."""
    own = psutil.Process().memory_info()
    return int(own.rss - own.shared)


def _left(groups: Path) -> Iterator[int]:
    """What limits leave."""
    for limit, use, kind in _VERSIONS:
        if (groups / limit).is_file() and (told := (groups / limit).read_text().strip()) != "max":
            counts = dict(line.split() for line in (groups / use).read_text().splitlines())
            yield int(told) - int(counts[kind])

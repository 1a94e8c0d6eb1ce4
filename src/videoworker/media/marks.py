"""What a finished file says of itself, so that a machine can tell it from a recording.

Every file has IPTC's digital source type: as a tag of its container, and in an mp4 as XMP too. If the operator has a
key for it, every video has a signed C2PA manifest besides.
"""

import struct
from pathlib import Path

import structlog

from videoworker.media import signing
from videoworker.origin import TRAINED_ALGORITHMIC_MEDIA, Origin
from videoworker.request import Mark
from videoworker.settings import Settings
from videoworker.watch import Watch

_log = structlog.get_logger()

# The user type of a box with XMP in it (XMP Specification Part 3, "MPEG-4").
_XMP = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")


def tags(settings: Settings, source_type: str = TRAINED_ALGORITHMIC_MEDIA) -> dict[str, str]:
    """The container's tags that mark a file, which are written with it. Those that record how it was made stand beside
    them."""
    return {"digital_source_type": source_type} if settings.mark else {}


def mark(path: Path, origin: Origin, settings: Settings, watch: Watch) -> list[Mark]:
    """Marks the finished file at `path`, which has its tags, and says with what. Its size and digest change.

    Raises `JobError`: GENERATION_FAILED if it cannot be signed, or the watch's.
    """
    if not settings.mark:
        return []
    if path.suffix == ".mp4":
        _append_xmp(path, origin.xmp())
    key = signing.key_from(settings)
    if key is None:
        return ["iptc"]
    signing.sign(path, origin, key, watch)  # last, because it signs all the rest
    return ["iptc", "c2pa"]


def prove(settings: Settings, watch: Watch) -> None:
    """To be called once before jobs are served. Raises `JobError` if the operator's key cannot sign."""
    if not settings.mark:
        _log.warning("MARK is false: files do not say that a model made them")
    elif (key := signing.key_from(settings)) is not None:
        signing.prove(key, watch)


def _append_xmp(path: Path, packet: bytes) -> None:
    """Adds a box with `packet` to an mp4 whose boxes all say their size. At the end it moves no other.

    Written here because no library that we know does: FFmpeg's muxer writes XMP into QuickTime files alone, mutagen
    and c2pa write other metadata only.
    """
    with path.open("ab") as file:
        file.write(struct.pack(">I4s16s", 24 + len(packet), b"uuid", _XMP) + packet)

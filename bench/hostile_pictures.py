"""Pictures that are small and take minutes or gigabytes to decode."""

import io
import struct
import zlib

from PIL import Image

SIDE = 7000  # just under the largest number of pixels
_REFINEMENT = bytes.fromhex("ffda0008010100013f21")  # a scan of one more bit of every AC coefficient
_NEXT_SCAN = bytes.fromhex("ffda0008010100000010")


def _encoded(picture: Image.Image, format: str, **options: bool | int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg_of_many_scans() -> bytes:
    """A progressive JPEG of 340 KB. Each of its 2,028 scans goes through the whole picture."""
    data = _encoded(Image.new("L", (SIDE, SIDE), 128), "JPEG", progressive=True, quality=10)
    start, end = data.index(_REFINEMENT), data.index(_NEXT_SCAN)
    return data[:end] + 2028 * data[start:end] + data[end:]


def png_of_many_profiles() -> bytes:
    """A PNG of 18 MB. Each of its colour profiles is a megabyte when it is unpacked."""
    data = _encoded(Image.new("L", (64, 64)), "PNG")
    content = b"iCCP" + b"a\0\0" + zlib.compress(bytes(1_000_000), 9)
    profile = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return data[:33] + 18_000_000 // len(profile) * profile + data[33:]


def png_of_many_pixels() -> bytes:
    """A PNG of 190 KB with RGBA pixels. They take 196 MB."""
    return _encoded(Image.new("RGBA", (SIDE, SIDE)), "PNG")

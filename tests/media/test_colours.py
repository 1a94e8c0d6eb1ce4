"""A picture's colours arrive as they are meant: by its profile, and at every depth."""

import base64
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.media.pictures import encoded
from tests.media.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    Primaries,
    cmyk_profile,
    grey_profile,
    rgb_profile,
    srgb_of,
)
from tests.watches import watch_that
from videoworker.media.picture import decode_picture

ORANGE = (220, 120, 60)
WHITE = (255, 255, 255)


def decoded(text: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The pixels and the notes."""
    watch = watch_that()
    return decode_picture(text, "image", watch), watch.notes


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes, transparent: tuple[int, ...]) -> str:
    """A PNG of samples that Pillow cannot write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    data += chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b""
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_rgb_profile(primaries: Primaries, format: str) -> None:
    """The expected colour is computed from the definitions of both colour spaces."""
    options = {"quality": 100} if format != "PNG" else {}
    picture = Image.new("RGB", (64, 64), ORANGE)
    pixels, notes = decoded(encoded(picture, format, icc_profile=rgb_profile(primaries, 2.2), **options))
    expected = srgb_of(ORANGE, primaries, 2.2)
    assert np.abs(expected - ORANGE).max() > 10
    assert np.abs(pixels.astype(float) - expected).max() <= 3
    assert notes == ()


def test_profile_and_transparency() -> None:
    picture = Image.new("RGBA", (32, 32), (*ORANGE, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 16, 32))
    pixels, _ = decoded(encoded(picture, icc_profile=rgb_profile(DISPLAY_P3, 2.2)))
    assert tuple(pixels[8, 8]) == WHITE
    assert np.abs(pixels[8, 24] - srgb_of(ORANGE, DISPLAY_P3, 2.2)).max() <= 2


def test_profile_of_palette() -> None:
    picture = Image.new("P", (32, 32), 0)
    picture.putpalette([*ORANGE])
    pixels, _ = decoded(encoded(picture, icc_profile=rgb_profile(DISPLAY_P3, 2.2)))
    assert np.abs(pixels - srgb_of(ORANGE, DISPLAY_P3, 2.2)).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profile(mode: str) -> None:
    """Linear grey of a fifth is sRGB's 124 of 255."""
    picture = Image.new(mode, (32, 32), 51 if mode == "L" else (51, 255))
    pixels, notes = decoded(encoded(picture, icc_profile=grey_profile(1.0)))
    assert np.abs(pixels.astype(float) - srgb_of((51, 51, 51), DISPLAY_P3, 1.0)).max() <= 1
    assert notes == ()


def test_grey_with_rgb_profile() -> None:
    pixels, notes = decoded(encoded(Image.new("L", (32, 32), 51), icc_profile=rgb_profile(DISPLAY_P3, 1.0)))
    assert np.abs(pixels.astype(float) - srgb_of((51, 51, 51), DISPLAY_P3, 1.0)).max() <= 1
    assert notes == ()


def test_cmyk_profile() -> None:
    """The profile's cyan ink is red. Whoever ignores the profile sees cyan."""
    picture = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    pixels, notes = decoded(encoded(picture, "JPEG", quality=100, icc_profile=cmyk_profile()))
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 4
    assert notes == ()


def test_srgb_profile() -> None:
    """It changes no pixel."""
    colourful = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, _ = decoded(encoded(Image.fromarray(colourful), icc_profile=profile))
    assert np.array_equal(pixels, colourful)


@pytest.mark.parametrize(
    "profile",
    [b"no profile", rgb_profile(DISPLAY_P3, 2.2)[:200], cmyk_profile(), grey_profile(2.2)],
    ids=["nonsense", "cut off", "of CMYK", "of grey"],
)
def test_wrong_profile(profile: bytes) -> None:
    """The picture is taken as sRGB, and the answer says so."""
    pixels, [note] = decoded(encoded(Image.new("RGB", (32, 32), ORANGE), icc_profile=profile))
    assert tuple(pixels[0, 0]) == ORANGE
    assert "profile" in note


def test_profile_that_does_not_unpack() -> None:
    data = base64.b64decode(encoded(Image.new("RGB", (32, 32), ORANGE)))
    content = b"iCCPa\0\0not deflate"
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    pixels, [note] = decoded(base64.b64encode(data[:33] + chunk + data[33:]).decode())
    assert tuple(pixels[0, 0]) == ORANGE
    assert "profile" in note


@pytest.mark.parametrize(("bits", "transparent"), [(1, 0), (2, 1), (4, 5), (8, 100), (16, 0x4000)])
def test_transparent_grey(bits: int, transparent: int) -> None:
    """A grey is named as transparent: it is white, and the next grey is what it was."""
    neighbour = transparent + 1
    samples = [transparent] * 16 + [neighbour] * 16
    row = b"\0" + int("".join(f"{sample:0{bits}b}" for sample in samples), 2).to_bytes(4 * bits, "big")
    pixels, _ = decoded(png(32, 32, bits, 0, 32 * row, (transparent,)))
    assert tuple(pixels[8, 8]) == WHITE
    assert np.abs(pixels[8, 24].astype(float) - neighbour * 255 / (2**bits - 1)).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_transparent_rgb(bits: int) -> None:
    """As for grey: of three samples, the last ones differ by one."""
    scale = 2 ** (bits - 8)
    transparent = (200 * scale, 100 * scale, 50 * scale)
    neighbour = (200 * scale, 100 * scale, 50 * scale + 1)
    kind = ">3H" if bits == 16 else ">3B"
    row = b"\0" + 16 * struct.pack(kind, *transparent) + 16 * struct.pack(kind, *neighbour)
    pixels, _ = decoded(png(32, 32, bits, 2, 32 * row, transparent))
    assert tuple(pixels[8, 8]) == WHITE
    assert np.abs(pixels[8, 24].astype(int) - (200, 100, 50)).max() <= 1


@pytest.mark.parametrize(
    ("colour_type", "samples", "expected"),
    [
        (0, (0x4080,), (0x40, 0x40, 0x40)),
        (2, (0x4080, 0x8040, 0xC020), (0x40, 0x80, 0xC0)),
        (4, (0x4080, 0x8000), (0xA0, 0xA0, 0xA0)),
        (6, (0x4080, 0x8040, 0xC020, 0xFFFF), (0x40, 0x80, 0xC0)),
    ],
    ids=["grey", "RGB", "grey with alpha", "RGBA"],
)
def test_16_bits(colour_type: int, samples: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    row = b"\0" + 32 * struct.pack(f">{len(samples)}H", *samples)
    pixels, _ = decoded(png(32, 32, 16, colour_type, 32 * row, ()))
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_lying_16_bits() -> None:
    """The orientation holds for the transparent colour too."""
    top, bottom = struct.pack(">3H", 1, 2, 3), struct.pack(">3H", 1, 2, 4)
    rows = 16 * (b"\0" + 32 * top) + 16 * (b"\0" + 32 * bottom)
    data = base64.b64decode(png(32, 32, 16, 2, rows, (1, 2, 3)))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    content = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    pixels, _ = decoded(base64.b64encode(data[:33] + chunk + data[33:]).decode())
    assert tuple(pixels[28, 8]) == WHITE
    assert tuple(pixels[4, 8]) == (0, 0, 0)

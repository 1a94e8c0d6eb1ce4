"""Colour profiles (ICC.1, version 2) of what cameras and screens have beside sRGB."""

import struct

import numpy as np
from numpy.typing import NDArray

# Chromaticities x, y of red, green and blue. Display P3: SMPTE EG 432-1. Adobe RGB (1998): its specification, 4.2.1.2.
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
_SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))  # IEC 61966-2-1
_D65 = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])  # of the profile connection space
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Primaries = tuple[tuple[float, float], ...]


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_xyz(primaries: Primaries) -> NDArray[np.float64]:
    """The matrix [3, 3] from linear RGB to XYZ, both with the white D65."""
    columns = np.stack([_xyz(*primary) for primary in primaries], axis=1)
    return np.asarray(columns * np.linalg.solve(columns, _xyz(*_D65)), np.float64)


def srgb_of(colour: tuple[int, int, int], primaries: Primaries, gamma: float) -> NDArray[np.float64]:
    """A colour with these primaries and this gamma, in 8-bit sRGB, by the definitions of both."""
    linear = np.linalg.solve(to_xyz(_SRGB), to_xyz(primaries) @ (np.array(colour) / 255) ** gamma).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _to_d50(primaries: Primaries) -> NDArray[np.float64]:
    """As `to_xyz`, with the profiles' white."""
    cone = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ _xyz(*_D65)))
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ cone @ _BRADFORD @ to_xyz(primaries)
    return adapted


def _tag(kind: bytes, content: bytes) -> bytes:
    return (kind + bytes(4) + content).ljust(4 * -(-(8 + len(content)) // 4), b"\0")


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, content, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(content), len(tag))
        content += tag
    body = struct.pack(">I", len(tags)) + table + content
    head = struct.pack(">I4s4s4s4s4s", 128 + len(body), bytes(4), b"\x02\x20\0\0", b"mntr", space, b"XYZ ")
    return (head + bytes(12) + b"acsp" + bytes(28) + _fixed(*_D50)).ljust(128, b"\0") + body


def _common(gamma: float) -> dict[bytes, bytes]:
    name = b"a test's\0"
    described = struct.pack(">I", len(name)) + name + bytes(78)
    return {
        b"desc": _tag(b"desc", described),
        b"cprt": _tag(b"text", b"none\0"),
        b"wtpt": _tag(b"XYZ ", _fixed(*_D50)),
        b"curv": _tag(b"curv", struct.pack(">IH", 1, round(gamma * 256))),
    }


def rgb_profile(primaries: Primaries, gamma: float) -> bytes:
    """A profile of three primaries and one gamma."""
    tags = _common(gamma)
    curve = tags.pop(b"curv")
    columns = _to_d50(primaries)
    for index, letter in enumerate(b"rgb"):
        tags[bytes([letter]) + b"XYZ"] = _tag(b"XYZ ", _fixed(*columns[:, index]))
        tags[bytes([letter]) + b"TRC"] = curve
    return _profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    """A profile of one gamma, for grey."""
    tags = _common(gamma)
    return _profile(b"GRAY", tags | {b"kTRC": tags.pop(b"curv")})


def cmyk_profile() -> bytes:
    """A profile of inks that are the wrong way round for anybody who ignores it: C is red, M is green, Y is blue.

    A table with two points for each ink holds XYZ with the white D50, in units of 32768 to 1.
    """
    tags = _common(1.0)
    del tags[b"curv"]
    to_d50 = _to_d50(_SRGB)
    table = b""
    for inks in np.ndindex(2, 2, 2, 2):
        xyz = to_d50 @ np.array(inks[:3], float) * (1 - inks[3])
        table += struct.pack(">3H", *(round(value * 32768) for value in xyz))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    curve = struct.pack(">2H", 0, 65535)
    lut = struct.pack(">BBBB", 4, 3, 2, 0) + identity + struct.pack(">HH", 2, 2) + 4 * curve + table + 3 * curve
    return _profile(b"CMYK", tags | {b"A2B0": _tag(b"mft2", lut)}).replace(b"mntr", b"prtr", 1)

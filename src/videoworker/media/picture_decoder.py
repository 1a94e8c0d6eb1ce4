"""The program that decodes one picture, in a process of its own. `media.picture` starts it and reads what it says.

It is run as a file and imports Pillow alone, because an ordinary picture waits for the imports. It ends as soon as its
standard input ends. So it ends with the process that has started it.
"""

import io
import json
import os
import resource
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import reduce
from typing import IO

from PIL import Image, ImageChops, ImageCms, ImageFile, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

MAX_PIXELS = 50_000_000
MIN_SIDE = 16  # pixels
FORMATS = tuple(
    plugin.format
    for plugin in (JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile, WebPImagePlugin.WebPImageFile)
)

_STRIP_PIXELS = 1_000_000  # converted at once, so that only one form of the picture is in memory as a whole
_BROKEN_PROFILE = "The image's colour profile is broken or does not fit it. Its colours were taken as sRGB."

# In a PNG's bytes: the bits of a sample, and the colour type.
_BITS_AT, _COLOUR_TYPE_AT = 24, 25
_GREY, _RGB, _GREY_WITH_ALPHA = 0, 2, 4

_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}  # Pillow's, of a profile's colour space
_HIGH_BYTE = [level >> 8 for level in range(65536)]

Conversion = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Verdict:
    """What is said of a picture: its size in pixels and notes in words, or what is allowed instead of it.

    `given` is what it has, if that can be told in a few words. If `is_unknown`, it is of no format that is let in.
    """

    width: int = 0
    height: int = 0
    notes: tuple[str, ...] = ()
    allowed: str | None = None
    given: str | None = None
    is_unknown: bool = False


def decode(data: bytes, pixels: IO[bytes]) -> Verdict:
    """Writes the picture's pixels to `pixels`, as bytes of RGB [height, width, 3]. Raises `MemoryError`.

    It is upright: its EXIF orientation is applied. Its colours are sRGB: its profile is applied. What is transparent is
    laid on white. If it is animated, it is the first frame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = _opened(data)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return Verdict(allowed=f"a picture has at most {MAX_PIXELS} pixels")
    except MemoryError:
        raise
    except Exception:  # Pillow's parsers raise all kinds of errors on broken files
        return Verdict(is_unknown=True)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        return Verdict(allowed=f"a picture has at most {MAX_PIXELS} pixels", given=f"{width}x{height}")
    if min(width, height) < MIN_SIDE:
        return Verdict(allowed=f"a picture is at least {MIN_SIDE} pixels wide and high", given=f"{width}x{height}")
    try:
        return _write(picture, data, pixels)
    except MemoryError:
        raise
    except Exception:  # as above: the header is sound, the rest is not
        return Verdict(allowed="a picture that is whole; this one is broken")


def _opened(data: bytes) -> ImageFile.ImageFile:
    opened = Image.open(io.BytesIO(data), formats=FORMATS)
    assert isinstance(opened, ImageFile.ImageFile)
    return opened


def _write(picture: Image.Image, data: bytes, pixels: IO[bytes]) -> Verdict:
    transparent = _Transparent.of(picture, data)
    is_grey = picture.format == "PNG" and data[_COLOUR_TYPE_AT] in (_GREY, _GREY_WITH_ALPHA)
    to_srgb, notes = _conversion(picture, is_grey)
    ImageOps.exif_transpose(picture, in_place=True)
    width, height = picture.size
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        strip = picture.crop(box)
        alpha = _alpha(strip) if transparent is None else transparent.alpha(strip, box)
        rgb = to_srgb(_colour(strip, is_grey))
        if alpha is not None:
            white = Image.new("RGB", rgb.size, "white")
            white.paste(rgb, mask=alpha)
            rgb = white
        pixels.write(rgb.tobytes())
    return Verdict(width, height, notes)


@dataclass(frozen=True)
class _Transparent:
    """The one colour of a PNG that is transparent, by its samples.

    Of three samples of 16 bits Pillow keeps only the high bytes. Then `low` is the picture of their low bytes.
    """

    samples: tuple[int, ...]
    low: Image.Image | None = None

    @classmethod
    def of(cls, picture: Image.Image, data: bytes) -> "_Transparent | None":
        """None if the picture has no such colour. Then Pillow tells of it no more."""
        if picture.format != "PNG" or data[_COLOUR_TYPE_AT] not in (_GREY, _RGB):
            return None
        named = picture.info.pop("transparency", None)
        bits = data[_BITS_AT]
        if named is None:
            return None
        if isinstance(named, tuple):
            if bits < 16:
                return cls(tuple(sample & 0xFF for sample in named))
            low = _opened(data)
            low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]  # takes each sample's second byte
            ImageOps.exif_transpose(low, in_place=True)
            return cls(named, low)
        if picture.mode == "1":  # Pillow has scaled it
            return cls((named,))
        return cls((named * 255 // (2**bits - 1) if bits < 8 else named,))

    def alpha(self, strip: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
        """255 where the strip, which lies at `box`, has another colour, else 0."""
        if strip.mode == "I;16":
            [sample] = self.samples
            return strip.convert("I").point([0 if level == sample else 255 for level in range(65536)], "L")
        samples, bands = self.samples, strip.convert("L").split() if strip.mode == "1" else strip.split()
        if self.low is not None:
            bands = (*bands, *self.low.crop(box).split())
            samples = (*(sample >> 8 for sample in samples), *(sample & 0xFF for sample in samples))
        same = [
            band.point([255 * (level == sample) for level in range(256)])
            for band, sample in zip(bands, samples, strict=True)
        ]
        return ImageChops.invert(reduce(ImageChops.darker, same))


def _alpha(strip: Image.Image) -> Image.Image | None:
    return strip.convert("RGBA").getchannel("A") if strip.has_transparency_data else None


def _colour(strip: Image.Image, is_grey: bool) -> Image.Image:
    """The strip without transparency: L, RGB or CMYK."""
    if strip.mode == "I;16":  # Pillow would clip it to 255 instead of scaling it
        return strip.convert("I").point(_HIGH_BYTE, "L")
    if is_grey:
        return strip.convert("L") if strip.mode == "1" else strip.getchannel(0)
    if strip.mode in ("L", "CMYK"):
        return strip
    if strip.mode == "P" and strip.has_transparency_data:
        strip = strip.convert("RGBA")  # takes the transparency from the palette
    return strip.convert("RGB")


def _conversion(picture: Image.Image, is_grey: bool) -> tuple[Conversion, tuple[str, ...]]:
    """What makes sRGB of the picture's colours as `_colour` gives them, and notes."""
    if "icc_profile" not in picture.info:
        return _as_rgb, ()
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        mode = _MODES[profile.profile.xcolor_space.strip()]
        colours = "L" if is_grey or picture.mode == "L" else "CMYK" if picture.mode == "CMYK" else "RGB"
        if mode != colours and (colours, mode) != ("L", "RGB"):
            raise ValueError(f"a profile for {mode}, and a picture in {colours}")
        to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except MemoryError:
        raise
    except Exception:  # littlecms' errors come as several types, and Pillow's too
        return _as_rgb, (_BROKEN_PROFILE,)
    return lambda colour: to_srgb.apply(colour.convert(mode)), ()


def _as_rgb(colour: Image.Image) -> Image.Image:
    return colour.convert("RGB")


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main(source: int, target: int, memory_bytes: int, seconds: int) -> None:
    """Decodes the file with the descriptor `source` into the one with `target`. Says the verdict as one line of JSON.

    It may take so many bytes of memory and seconds of CPU time. If it would take more, it ends without a verdict.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MAX_PIXELS, 3 * MAX_PIXELS))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with open(source, "rb") as data, open(target, "wb") as pixels:
            verdict = decode(data.read(), pixels)
    except MemoryError:
        sys.exit(1)
    print(json.dumps(asdict(verdict)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""A caller's picture: from a URL, a data URI or base64 to RGB pixels.

Nothing in it is trusted. Its bytes are counted before they are decoded. The size in its header is checked before the
pixels are decoded. Its format is what the bytes say, whatever the URI says.
"""

import base64
import binascii
import io
import re
import warnings
from collections.abc import Callable
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.media.download import DownloadRefused, download, unchecked

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
MIN_SIDE = 16  # pixels
FORMATS = ("JPEG", "PNG", "WEBP")

_ALLOWED = "a JPEG, PNG or WebP picture as http(s) URL, data URI or base64"
_QUOTED_CHARACTERS = 50


def decode_picture(image: str, field: str, check: Callable[[], None] = unchecked) -> NDArray[np.uint8]:
    """The picture in a request's `field`, uint8 [height, width, 3] RGB.

    It is upright: its EXIF orientation is applied. What is transparent is laid on white. If it is animated, it is the
    first frame. `check` is called several times a second while a URL is fetched. Raises `JobError` INVALID_IMAGE naming
    `field`, and what `check` raises.
    """
    return _decode(_read(image.strip(), field, check), _quoted(image), field)


def _read(image: str, field: str, check: Callable[[], None]) -> bytes:
    if ":" not in image[:16]:
        return _decode_base64(image, image, field)
    if image[:5].lower() == "data:":
        header, _, payload = image.partition(",")
        kind, *parameters = header[5:].lower().split(";")
        if not kind.startswith("image/") or "base64" not in parameters:
            _refuse(field, _quoted(image), "a data URI must begin with data:image/...;base64,")
        return _decode_base64(payload, image, field)
    try:
        return download(image, MAX_BYTES, check)
    except DownloadRefused as refused:
        _refuse(field, _quoted(image), f"the URL {refused}", refused)


def _decode_base64(payload: str, image: str, field: str) -> bytes:
    payload = "".join(payload.split())
    if len(payload) // 4 * 3 - payload[-2:].count("=") > MAX_BYTES:
        _refuse(field, _quoted(image), f"a picture holds at most {MAX_BYTES} bytes")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: a character outside ASCII
        _refuse(field, _quoted(image), _ALLOWED, error)


def _decode(data: bytes, given: str, field: str) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        _refuse(field, given, f"a picture has at most {MAX_PIXELS} pixels", error)
    except Exception as error:  # Pillow's parsers raise all kinds of errors on broken files
        _refuse(field, given, _ALLOWED, error)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        _refuse(field, f"{width}x{height}", f"a picture has at most {MAX_PIXELS} pixels")
    if min(width, height) < MIN_SIDE:
        _refuse(field, f"{width}x{height}", f"a picture is at least {MIN_SIDE} pixels wide and high")
    try:
        return _to_rgb(ImageOps.exif_transpose(picture))
    except Exception as error:  # as above: the header is sound, the rest is not
        _refuse(field, given, "a picture that is whole; this one is broken", error)


def _to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode == "I;16":  # 16-bit grey: Pillow would clip it to 255 instead of scaling it
        levels = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(levels[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def _quoted(image: str) -> str:
    """The beginning of `image`. A URL loses its password and query, which may be secret."""
    image = image.strip()
    if "://" in image[:16]:
        image = re.sub(r"(?<=//)[^/]*@", "", image.partition("?")[0])
    return image if len(image) <= _QUOTED_CHARACTERS else f"{image[:_QUOTED_CHARACTERS]}… ({len(image)} characters)"


def _refuse(field: str, given: str, allowed: str, cause: Exception | None = None) -> NoReturn:
    problem = FieldProblem(field, given, allowed)
    raise JobError(Code.INVALID_IMAGE, f"Invalid image: {problem}", (problem,)) from cause

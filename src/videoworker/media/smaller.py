"""A picture of too many bytes, made smaller, so that a request can carry it."""

import io

from PIL import Image

from videoworker.media.download import unchecked
from videoworker.media.picture import decoded

_QUALITY = 95  # of JPEG: the highest that Pillow recommends
_STEP = 0.7  # of both sides, as often as the picture is still too large


def smaller(data: bytes, field: str, box: tuple[int, int], max_bytes: int) -> bytes:
    """A JPEG of at most `max_bytes`. It still covers `box` (width, height) if it did so before and fits.

    It is upright, in sRGB, and without transparency, as a job would see it. Blocks while a process decodes it. Raises
    `JobError` INVALID_IMAGE that names `field`.
    """
    made = Image.fromarray(decoded(data, f"a file of {len(data)} bytes", field, unchecked).pixels)
    scale = min(1.0, max(box[0] / made.width, box[1] / made.height))
    while True:
        size = max(1, round(made.width * scale)), max(1, round(made.height * scale))
        buffer = io.BytesIO()
        made.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=_QUALITY)
        if buffer.tell() <= max_bytes:
            return buffer.getvalue()
        scale *= _STEP

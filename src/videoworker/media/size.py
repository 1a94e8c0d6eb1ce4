"""How large a video file will be, before it is made."""

from videoworker.media.file import CRF, SOUND_BITS_PER_SECOND, VideoFormat
from videoworker.request import Container

# What generated pictures need at "medium", with some room above what was measured: files of `sketch` at 256x256 have
# 0.15, and 1080p has less. YouTube's recommended upload rates lie between 0.12 (1080p) and 0.2 (720p).
_BITS_PER_PIXEL_AT_MEDIUM = 0.2
_CRF_STEPS_TO_HALVE = 6  # as x264's guide says; VP9's scale is about as steep

# Opus takes up to half more than its rate for what is dense, and each packet takes some bytes of the container.
_SOUND_MARGIN = 1.6

_CONTAINER_BYTES = 10_000


def estimated_bytes(format: VideoFormat) -> int:
    """The size in bytes that a file of this format is not expected to exceed."""
    steps = CRF[format.container]["medium"] - format.rate_factor
    bits_per_pixel = _BITS_PER_PIXEL_AT_MEDIUM * 2 ** (steps / _CRF_STEPS_TO_HALVE)
    sound = sound_bytes(format.duration, format.container) if format.has_audio else 0
    return _CONTAINER_BYTES + round(format.pixels * bits_per_pixel / 8) + sound


def sound_bytes(seconds: float, container: Container) -> int:
    """The size in bytes that a sound of so many seconds is not expected to exceed."""
    return round(seconds * SOUND_BITS_PER_SECOND[container] * _SOUND_MARGIN / 8)

"""Super-resolution as a plan has it: whether a clip is brought to a larger size by networks, and to which."""

from dataclasses import dataclass, replace
from fractions import Fraction

from videoworker.canvas import Canvas
from videoworker.models.sampling import Sampling
from videoworker.models.upscaler import Upscaler
from videoworker.models.video_model import VideoModel

# It was trained for clips of the variant's largest area. Native sizes off the published list may have a line less.
_LEAST_SHARE = 0.9

_LARGEST_ASPECT = 4


@dataclass(frozen=True)
class SuperResolution:
    """How a clip's latents become larger ones before they are decoded. The `canvas` is of the larger pictures, for the
    same file."""

    upscaler: Upscaler
    canvas: Canvas
    sampling: Sampling

    @property
    def note(self) -> str:
        """What the answer says of it."""
        size = f"{self.canvas.native_width}x{self.canvas.native_height}"
        return f"Scaled up by super-resolution, to {size} in {self.sampling.steps} steps."


def super_resolution(model: VideoModel, canvas: Canvas) -> SuperResolution | None:
    """What the model's upscaler makes of pictures of this canvas; None if it has none, if they need not be scaled up,
    or if they are much smaller than those that it was trained for."""
    upscaler, area = model.upscaler, canvas.native_pixels
    is_larger = canvas.width > canvas.crop_width or canvas.height > canvas.crop_height
    if upscaler is None or not is_larger or area < _LEAST_SHARE * model.max_area:
        return None
    sampling = Sampling(upscaler.steps, guidance_scale=1.0, flow_shift=upscaler.flow_shift)
    return SuperResolution(upscaler, _enlarged(canvas, *larger_size(upscaler, canvas)), sampling)


def larger_size(upscaler: Upscaler, canvas: Canvas) -> tuple[int, int]:
    """Of the upscaler's sizes the one whose aspect is nearest to that of a native picture; of two equally near the
    wider one. These sizes are those of `BucketMap` in hyvideo/pipelines/hunyuan_video_sr_pipeline.py."""
    wanted = Fraction(canvas.native_width, canvas.native_height)
    return min(sizes(upscaler), key=lambda size: (abs(Fraction(*size) - wanted), -size[0]))


def sizes(upscaler: Upscaler) -> list[tuple[int, int]]:
    """The largest sizes that the area allows, as `generate_crop_size_list` in hyvideo/utils/data_utils.py has them: for
    each width all heights from the largest that the next width allows to the largest that this one does, if no side is
    more than four times the other."""
    grid, cells = upscaler.grid, upscaler.max_area // upscaler.grid**2
    return [
        (width * grid, height * grid)
        for width in range(1, cells + 1)
        for height in range(max(cells // (width + 1), 1), cells // width + 1)
        if max(width, height) <= _LARGEST_ASPECT * min(width, height)
    ]


def _enlarged(canvas: Canvas, width: int, height: int) -> Canvas:
    """The canvas of native pictures that were stretched to `width` x `height`. The file undoes what the two sides
    were stretched unevenly."""
    across, down = Fraction(width, canvas.native_width), Fraction(height, canvas.native_height)
    return replace(
        canvas,
        native_width=width,
        native_height=height,
        left=round(canvas.left * across),
        top=round(canvas.top * down),
        crop_width=round(canvas.crop_width * across),
        crop_height=round(canvas.crop_height * down),
    )

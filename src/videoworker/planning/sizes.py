"""The size of picture that a model makes for a requested size, and how it is cropped and scaled to that."""

from videoworker.canvas import Canvas
from videoworker.models.video_model import VideoModel


def fit(model: VideoModel, width: int, height: int) -> tuple[Canvas, list[str]]:
    """The canvas for a requested `width` x `height` (any positive numbers), and notes on what had to be changed."""
    notes = []
    even = max(width // 2 * 2, 2), max(height // 2 * 2, 2)
    if even != (width, height):
        notes.append(f"{width}x{height} became {even[0]}x{even[1]}: H.264 4:2:0 needs even sides.")
    width, height = even
    native_width, native_height = up(width, model.grid), up(height, model.grid)
    if _can_make(model, native_width, native_height):
        crop_width, crop_height = width, height
        if (native_width, native_height) != even:
            notes.append(f"Made at {native_width}x{native_height} and cropped to {width}x{height}, centred.")
    else:
        native_width, native_height = _nearest_native(model, width, height)
        scale = max(width / native_width, height / native_height)
        crop_width = min(native_width, max(round(width / scale), 1))
        crop_height = min(native_height, max(round(height / scale), 1))
        scaled = "" if (crop_width, crop_height) == even else f" and scaled {'up' if scale > 1 else 'down'}"
        notes.append(
            f"Made at {native_width}x{native_height}, which {model.name} makes natively, cropped to the aspect asked "
            f"for{scaled} to {width}x{height}."
        )
    canvas = Canvas.centred((width, height), (native_width, native_height), (crop_width, crop_height))
    return canvas, notes


def up(side: int, grid: int) -> int:
    """The least multiple of `grid` that is not less than `side`."""
    return -(-side // grid) * grid


def _can_make(model: VideoModel, width: int, height: int) -> bool:
    if model.fixed_size:
        return (width, height) == (model.default_width, model.default_height)
    return (
        width * height <= model.max_area
        and min(width, height) >= model.min_side
        and max(width, height) <= model.max_side
    )


def _nearest_native(model: VideoModel, width: int, height: int) -> tuple[int, int]:
    """The native size that needs the least scaling up to cover `width` x `height`. Of equal ones, the smallest."""
    if model.fixed_size:
        return model.default_width, model.default_height
    sides = range(up(model.min_side, model.grid), model.max_side + 1, model.grid)
    sizes = [(w, h) for w in sides for h in sides if w * h <= model.max_area]
    return min(sizes, key=lambda size: (max(width / size[0], height / size[1]), size[0] * size[1]))

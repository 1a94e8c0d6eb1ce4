"""Which of a model's variants suit a request, and which go on where another ends."""

from collections.abc import Sequence

from videoworker.models.declaration import Model
from videoworker.request import VideoRequest


def following(variants: Sequence[Model], model: Model) -> Model | None:
    """Which of a model's variants makes the parts after the first where a clip is longer than `model` can make at once;
    None where none does."""
    if model.continued_from:
        return model
    others = {variant.variant: variant for variant in variants if variant.continued_from}
    return others.get(model.continued_by)


def suited(variants: Sequence[Model], request: VideoRequest) -> list[Model]:
    """Those of `variants` that make video from what the request has, a text or an image too, best first: the smallest
    that is made for the size asked for, else the largest. All of them where none can, so that planning says why."""
    has_image = request.image is not None
    able = [variant for variant in variants if (variant.takes_image if has_image else not variant.needs_image)]
    if request.width and request.height:
        area = request.width * request.height
        able.sort(key=lambda variant: (area > variant.max_area, abs(variant.max_area - area)))
    return able or list(variants)

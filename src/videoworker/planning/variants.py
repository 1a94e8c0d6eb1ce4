"""Which of a model's variants suit a request, and which continue the clips of another."""

from collections.abc import Sequence

from videoworker.effort import Effort
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.models.video_model import VideoModel
from videoworker.request import VideoRequest


def continuing(variants: Sequence[VideoModel], model: VideoModel) -> VideoModel | None:
    """The variant that makes the segments after the first, if a clip is longer than `model` can make at once; None if
    there is none."""
    if model.continued_from:
        return model
    others = {variant.variant: variant for variant in variants if variant.continued_from}
    return others.get(model.continued_by)


def suited(variants: Sequence[VideoModel], request: VideoRequest) -> list[VideoModel]:
    """Those of `variants` that make video from what the request has: a text, or an image too.

    They come best first: the smallest variant that is made for the requested size, else the largest. If none can make
    it, all come: planning then says why.
    """
    has_image = request.image is not None
    able = [variant for variant in variants if (variant.takes_image if has_image else not variant.needs_image)]
    if request.width and request.height:
        area = request.width * request.height
        able.sort(key=lambda variant: (area > variant.max_area, abs(variant.max_area - area)))
    return able or list(variants)


def of_effort(variants: Sequence[VideoModel], asked: Effort | None, served: Effort | None) -> list[VideoModel]:
    """Those of `variants`, which suit a request, that have the tier that it asks for, or else the worker's. Raises
    `JobError` INVALID_FIELD or MODEL_NOT_LOADED with the tiers that they have."""
    effort = asked or served
    having = [variant for variant in variants if effort is None or effort in variant.efforts]
    if having:
        return having
    has = ", ".join(dict.fromkeys(tier for variant in variants for tier in variant.efforts))
    allowed = f"one of: {has}, with {variants[0].name}"
    if asked is None:
        raise JobError(Code.MODEL_NOT_LOADED, f"EFFORT: {allowed} (given: {served})")
    allowed += " for such a request"
    raise JobError(Code.INVALID_FIELD, f"effort: {allowed}", (FieldProblem("effort", asked, allowed),))

"""From a request and a model's declaration to what will be made: size, frames, parts, steps, guidance, and notes."""

import math
from dataclasses import dataclass

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.models.declaration import Model
from videoworker.models.sizes import Canvas, fit
from videoworker.request import VideoRequest


@dataclass(frozen=True)
class Part:
    """One run of the model: it makes `num_frames`, of which the first `given` continue the part before, and the
    `kept` frames after those go to the file."""

    num_frames: int
    given: int
    kept: int


@dataclass(frozen=True)
class Sampling:
    """How to denoise; what is None is as the checkpoint's own files say. `fps` is for families that are told how much
    time lies between two frames; None: as in the videos they were trained on."""

    steps: int
    guidance_scale: float
    embedded_guidance_scale: float | None = None
    flow_shift: float | None = None
    fps: int | None = None


@dataclass(frozen=True)
class Plan:
    """What the engine will do. `notes` says in words what differs from the request and why. `low_vram`: time may be
    spent to save device memory. `following` makes the parts after the first; None: there are none."""

    model: Model
    canvas: Canvas
    num_frames: int
    fps: int
    parts: tuple[Part, ...]
    sampling: Sampling
    notes: tuple[str, ...]
    low_vram: bool = False
    following: Model | None = None


def make_plan(request: VideoRequest, model: Model, following: Model | None = None) -> Plan:
    """`following` is the variant that continues the model's clips, where the model cannot and the variant is at hand.
    Raises `JobError` naming the field where the model cannot do what is asked."""
    _refuse_what_the_model_lacks(request, model)
    width, height = request.width or model.default_width, request.height or model.default_height
    canvas, notes = fit(model, width, height)
    fps = request.fps or model.fps
    num_frames = request.num_frames or model.default_frames
    if request.duration is not None:
        num_frames = max(round(request.duration * fps), 1)
        if not math.isclose(num_frames / fps, request.duration, abs_tol=1e-6):
            notes.append(f"{request.duration:g} s at {fps} fps became {num_frames} frames.")
    if model.continued_from:
        following = model
    elif following is not None and fit(following, width, height)[0] != canvas:
        following = None  # it cannot make frames of this size
    parts = split(model, following, num_frames, request)
    if len(parts) > 1 and following is not None:
        count = following.continued_from
        notes.append(
            f"Made in {len(parts)} parts of at most {model.max_frames} frames; each continues from the last "
            f"{'frame' if count == 1 else f'{count} frames'} of the one before"
            + ("." if following is model else f", and is made by the variant {following.variant}.")
        )
        notes += [note for note in following.notes if note not in model.notes]
    elif parts[0].num_frames != num_frames:
        notes.append(f"Made {parts[0].num_frames} frames and kept the first {num_frames}.")
    guidance_scale = model.default_guidance_scale if request.guidance_scale is None else request.guidance_scale
    notes += _without_effect(request, model, guidance_scale) + list(model.notes)
    steps = request.num_inference_steps or model.default_steps
    sampling = Sampling(steps, guidance_scale, request.embedded_guidance_scale, request.flow_shift, fps)
    low_vram = request.low_vram and model.needs_gpu
    return Plan(
        model, canvas, num_frames, fps, parts, sampling, tuple(notes), low_vram, following if len(parts) > 1 else None
    )


def split(model: Model, following: Model | None, num_frames: int, request: VideoRequest) -> tuple[Part, ...]:
    """The parts whose kept frames add up to `num_frames`. Raises `JobError` where nothing can continue the clip."""
    if num_frames > model.max_frames and following is None:
        seconds = model.max_frames / (request.fps or model.fps)
        field = "num_frames" if request.duration is None else "duration"
        given = num_frames if request.duration is None else request.duration
        allowed = f"at most {model.max_frames} frames ({seconds:g} s) with {model.name}"
        code = Code.INVALID_FIELD if request.duration is None else Code.INVALID_DURATION
        message = f"{model.name} cannot make a clip this long."
        if model.continued_by:
            message += f" Its variant {model.continued_by} would go on, where that is installed and makes this size."
        raise JobError(code, message, (FieldProblem(field, given, allowed),))
    parts: list[Part] = []
    while num_frames:
        maker = following if parts and following is not None else model
        given = maker.continued_from if parts else 0
        kept = min(num_frames, maker.max_frames - given)
        needed = max(kept + given, maker.min_frames)
        made = math.ceil((needed - 1) / maker.frame_step) * maker.frame_step + 1
        parts.append(Part(made, given, kept))
        num_frames -= kept
    return tuple(parts)


def _refuse_what_the_model_lacks(request: VideoRequest, model: Model) -> None:
    problems = []
    if request.image is not None and not model.takes_image:
        problems.append(FieldProblem("image", "an image", f"no image: {model.name} makes video from text only"))
    if request.last_image is not None:
        problems.append(FieldProblem("last_image", "an image", f"no last image: {model.name} does not take one"))
    if request.flow_shift is not None and model.fixed_schedule:
        allowed = f"no shift: {model.name} was trained for one course of noise levels"
        problems.append(FieldProblem("flow_shift", request.flow_shift, allowed))
    if problems:
        message = "; ".join(f"{problem.field}: {problem.allowed}" for problem in problems)
        raise JobError(Code.INVALID_FIELD, message, tuple(problems))


def _without_effect(request: VideoRequest, model: Model, guidance_scale: float) -> list[str]:
    """Notes on what was asked for and does nothing here."""
    unused = []
    if request.flow_shift is not None and not model.takes_flow_shift:
        unused.append("flow_shift")
    if request.embedded_guidance_scale is not None and not model.takes_embedded_guidance:
        unused.append("embedded_guidance_scale")
    notes = [f"{name} has no effect with {model.name}." for name in unused]
    if guidance_scale < 1:
        notes.append("A guidance_scale below 1 does the same as 1.")
    if request.negative_prompt and guidance_scale <= 1:
        notes.append("negative_prompt has no effect at a guidance_scale of 1 or less.")
    if request.low_vram and not model.needs_gpu:
        notes.append(f"low_vram has no effect: {model.name} needs no GPU.")
    if request.audio is not None:
        notes.append("Sound is not made yet: the video is silent.")
    return notes

"""From a request to the plan of its clip: variant, size, segments, sampling, notes. A job has one plan, made once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from videoworker.canvas import Canvas
from videoworker.effort import Effort
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.models import SOUND_VARIANTS
from videoworker.models.sampling import Sampling
from videoworker.models.sound_model import SoundModel
from videoworker.models.video_model import VideoModel
from videoworker.planning.machine import Machine
from videoworker.planning.sizes import fit
from videoworker.planning.sound import SoundPlan, plan_sound
from videoworker.planning.super_resolution import SuperResolution, super_resolution
from videoworker.request import AudioRequest, VideoRequest


@dataclass(frozen=True)
class Segment:
    """One run of the model. It makes `num_frames`. The first `overlap` of them are the last ones of the segment before.
    The `kept` frames after those go to the file."""

    num_frames: int
    overlap: int
    kept: int


@dataclass(frozen=True)
class Plan:
    """What will be made.

    `continuing` is the variant that makes the segments after the first; None if there is one alone. If `low_vram`, time
    may be spent to save device memory. `sound` is None if the video is silent. `super_resolution` is None if pictures
    are decoded at the size that the model makes. `notes` says what differs from the request, and why.
    """

    model: VideoModel
    canvas: Canvas
    num_frames: int
    fps: int
    segments: tuple[Segment, ...]
    sampling: Sampling
    notes: tuple[str, ...]
    low_vram: bool = False
    continuing: VideoModel | None = None
    sound: SoundPlan | None = None
    super_resolution: SuperResolution | None = None

    @property
    def courses(self) -> tuple[tuple[Canvas, Sampling], ...]:
        """How each segment is denoised, one after the other: at which size, and how. The last one's latents are
        decoded."""
        larger = self.super_resolution
        first = self.canvas, self.sampling
        return (first,) if larger is None else (first, (larger.canvas, larger.sampling))

    @property
    def decoded(self) -> Canvas:
        """The canvas of the pictures that are decoded."""
        return self.courses[-1][0]

    def without_super_resolution(self, why: str) -> Self:
        """The same clip, scaled up with a filter."""
        larger = self.super_resolution
        notes = tuple(note for note in self.notes if larger is None or note != larger.note)
        return replace(self, super_resolution=None, notes=(*notes, _scaled(why)))

    @property
    def models(self) -> tuple[VideoModel, ...]:
        """The variants that make the clip, each once, in the order in which they are needed."""
        return tuple(dict.fromkeys(filter(None, (self.model, self.continuing))))

    def model_of(self, index: int) -> VideoModel:
        """The variant that makes segment `index`."""
        return self.model if index == 0 or self.continuing is None else self.continuing


def make_plan(request: VideoRequest, machine: Machine, served: str | None = None, effort: Effort | None = None) -> Plan:
    """The plan of a request on a machine. `served` is the one model that the operator serves, if there is one; `effort`
    is the operator's tier, if there is one. Raises `JobError` that says what the model or the machine lacks."""
    model = machine.variant_for(served or request.model or machine.best_installed(), request, effort)
    request = replace(request, effort=request.effort or effort)
    plan = _enlarged(plan_clip(request, model, machine.continuing_variant(model)), machine)
    return plan if request.audio is None else _with_sound(plan, request.audio, machine)


def _enlarged(plan: Plan, machine: Machine) -> Plan:
    """The plan, with super-resolution if there is one for its clip and its weights can be had."""
    larger = super_resolution(plan.model, plan.canvas)
    if larger is None:
        return plan
    checkpoint = larger.upscaler.checkpoint
    if not machine.has(checkpoint):
        why = f"the weights for super-resolution are not installed. To fetch them: {checkpoint.how_to_fetch}"
        return replace(plan, notes=(*plan.notes, _scaled(why)))
    return replace(plan, super_resolution=larger, notes=(*plan.notes, larger.note))


def _scaled(why: str) -> str:
    return f"Scaled up with a Lanczos filter: {why}"


def _with_sound(plan: Plan, wanted: AudioRequest, machine: Machine) -> Plan:
    """The plan, with the sound that is wanted if there is a model for it."""
    name = plan.model.name
    model = machine.sound_model(name)
    if model is None:
        missing = f"No sound model for {name} is installed, so the video is silent."
        note = f"{missing} {_how_to_fetch(machine.sound_models(name))}"
        return replace(plan, notes=(*plan.notes, note))
    notes = dict.fromkeys((*plan.notes, *model.checkpoint.notes))
    return replace(plan, sound=plan_sound(wanted, model, plan.num_frames / plan.fps), notes=tuple(notes))


def needed_sound_model(machine: Machine, served: str | None = None) -> SoundModel:
    """The model for a job that makes nothing but a sound: `served`, if the one model that the operator serves is one of
    sounds. Raises `JobError` MODEL_NOT_LOADED if there is none."""
    model = machine.sound_variant_for(served) if served in SOUND_VARIANTS else machine.sound_model()
    if model is None:
        best = machine.sound_models()
        raise JobError(Code.MODEL_NOT_LOADED, f"No sound model is installed. {_how_to_fetch(best)}")
    return model


def _how_to_fetch(best_first: Sequence[SoundModel]) -> str:
    return f"To fetch one: {best_first[0].checkpoint.how_to_fetch}"


def plan_clip(request: VideoRequest, model: VideoModel, continuing: VideoModel | None = None) -> Plan:
    """The plan of a request with one variant. `continuing` is the variant that goes on with its clips, if it is not
    the same. Raises `JobError` naming the field if the variant cannot do what is asked."""
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
        continuing = model
    elif continuing is not None and fit(continuing, width, height)[0] != canvas:
        continuing = None  # it cannot make frames of this size
    segments = split(model, continuing, num_frames, request)
    if len(segments) > 1 and continuing is not None:
        count = continuing.continued_from
        notes.append(
            f"Made in {len(segments)} segments of at most {model.max_frames} frames; each continues from the last "
            f"{'frame' if count == 1 else f'{count} frames'} of the one before"
            + ("." if continuing is model else f", and is made by the variant {continuing.variant}.")
        )
        notes += [note for note in continuing.checkpoint.notes if note not in model.checkpoint.notes]
    elif segments[0].num_frames != num_frames:
        notes.append(f"Made {segments[0].num_frames} frames and kept the first {num_frames}.")
    guidance_scale, low_noise = model.default_guidance_scale, model.default_low_noise_guidance_scale
    if request.guidance_scale is not None:
        guidance_scale, low_noise = request.guidance_scale, None
    notes += _without_effect(request, model, guidance_scale) + list(model.checkpoint.notes)
    steps = request.num_inference_steps or model.default_steps
    sampling = Sampling(
        steps,
        guidance_scale,
        request.embedded_guidance_scale,
        request.flow_shift,
        fps,
        low_noise,
        request.effort or model.default_effort,
    )
    low_vram = request.low_vram and model.needs_gpu
    return Plan(
        model,
        canvas,
        num_frames,
        fps,
        segments,
        sampling,
        tuple(notes),
        low_vram,
        continuing if len(segments) > 1 else None,
    )


def split(
    model: VideoModel, continuing: VideoModel | None, num_frames: int, request: VideoRequest
) -> tuple[Segment, ...]:
    """The segments whose kept frames add up to `num_frames`. Raises `JobError` if nothing can continue the clip."""
    if num_frames > model.max_frames and continuing is None:
        seconds = model.max_frames / (request.fps or model.fps)
        field = "num_frames" if request.duration is None else "duration"
        given = num_frames if request.duration is None else request.duration
        allowed = f"at most {model.max_frames} frames ({seconds:g} s) with {model.name}"
        code = Code.INVALID_FIELD if request.duration is None else Code.INVALID_DURATION
        message = f"{model.name} cannot make a clip this long."
        if model.continued_by:
            message += f" Its variant {model.continued_by} would go on, if it is installed and makes this size."
        raise JobError(code, message, (FieldProblem(field, given, allowed),))
    segments: list[Segment] = []
    while num_frames:
        maker = continuing if segments and continuing is not None else model
        overlap = maker.continued_from if segments else 0
        kept = min(num_frames, maker.max_frames - overlap)
        needed = max(kept + overlap, maker.min_frames)
        made = math.ceil((needed - 1) / maker.frame_step) * maker.frame_step + 1
        segments.append(Segment(made, overlap, kept))
        num_frames -= kept
    return tuple(segments)


def _refuse_what_the_model_lacks(request: VideoRequest, model: VideoModel) -> None:
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


def _without_effect(request: VideoRequest, model: VideoModel, guidance_scale: float) -> list[str]:
    """Notes on what the request asks for without effect."""
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
    return notes

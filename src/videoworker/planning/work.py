"""What a job computes, stage by stage, in the amounts that its seconds grow with."""

from dataclasses import dataclass

from videoworker.planning.plan import Plan
from videoworker.planning.sound import SoundPlan
from videoworker.request import Container, Stage


@dataclass(frozen=True)
class Part:
    """One stage of a job. All parts with the same `pace` are made alike, so that the seconds of one tell those of
    another. The first of the `amounts` is what its time grows with before more is known."""

    stage: Stage
    pace: str
    amounts: tuple[float, ...]


# In this order a job's main part comes first.
Work = tuple[Part, ...]


def video_work(plan: Plan, container: Container, placement: str = "", loads: bool = False) -> Work:
    """That of a clip and its sound. `placement` is where the networks lie; `loads`: they do not lie there yet.

    Effort counts as what it computes: predictions.
    """
    model, decoded = plan.model, plan.decoded
    title = model.checkpoint.title
    made = f"{title} {placement}".strip()
    native, delivered = decoded.native_pixels / 1e6, decoded.width * decoded.height / 1e6
    count, pictures = len(plan.segments), delivered * plan.num_frames
    parts = [
        Part("denoise", f"denoise {made}", _denoised(plan)),
        Part("decode", f"decode {title}", (native * sum(one.num_frames for one in plan.segments), native * count)),
        Part("encode", f"encode {container}", (pictures, 1.0)),
        Part("encode_prompt", f"encode_prompt {made}", (1.0,)),
        Part("deliver", "deliver", (1.0, pictures)),
    ]
    if plan.sound is not None:
        parts += sound_work(plan.sound, plan.num_frames / plan.fps)
    if loads:
        parts.append(Part("load", f"load {made}", (1.0,)))
    return tuple(parts)


def sound_work(plan: SoundPlan, seconds: float) -> Work:
    """That of a sound of so many seconds."""
    return (Part("sound", f"sound {plan.model.checkpoint.title}", (seconds * plan.sampling.predictions, seconds, 1.0)),)


def _denoised(plan: Plan) -> tuple[float, ...]:
    """Tokens of all predictions, which most layers' time grows with; their squares, with which attention's does; the
    predictions themselves; and the pixels that segments continue from, which are encoded."""
    made = [
        (sampling.predictions, canvas.native_pixels / 1e6 * plan.model.latent_frames(segment.num_frames))
        for canvas, sampling in plan.courses
        for segment in plan.segments
    ]
    known = plan.canvas.native_pixels / 1e6 * sum(one.overlap for one in plan.segments)
    return (
        sum(predictions * tokens for predictions, tokens in made),
        sum(predictions * tokens**2 for predictions, tokens in made),
        float(sum(predictions for predictions, _ in made)),
        known,
    )

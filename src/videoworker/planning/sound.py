"""The plan of a clip's sound: which model makes it, how, and whether the video's networks can stay meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.models.sampling import Sampling
from videoworker.models.sound_model import Part, SoundModel
from videoworker.planning.memory import GIB, RESERVE
from videoworker.request import AudioRequest


class Room(StrEnum):
    """What lies on the device while a sound is made. Each needs no more memory than the one before."""

    BESIDE = "beside the video model"
    ALONE = "all parts, without the video model"
    BY_PART = "one part at a time"


@dataclass(frozen=True)
class SoundPlan:
    """`prompts` are the negative one and the prompt itself. `seed` is None if it is the video's."""

    model: SoundModel
    prompts: tuple[str, str]
    sampling: Sampling
    seed: int | None


def plan_sound(wanted: AudioRequest, model: SoundModel, seconds: float) -> SoundPlan:
    """The plan of the sound of so many seconds. Raises `JobError` INVALID_DURATION if the clip is too long for one."""
    if seconds > model.max_seconds:
        allowed = f"at most {model.max_seconds} s with sound"
        raise JobError(
            Code.INVALID_DURATION,
            f"{model.name} makes at most {model.max_seconds} seconds of sound; the video has {seconds:g}.",
            (FieldProblem("duration", seconds, allowed),),
        )
    negative = model.default_negative_prompt if wanted.negative_prompt is None else wanted.negative_prompt
    steps = wanted.num_inference_steps or model.default_steps
    guidance_scale = model.default_guidance_scale if wanted.guidance_scale is None else wanted.guidance_scale
    return SoundPlan(model, (negative, wanted.prompt or ""), Sampling(steps, guidance_scale), wanted.seed)


def room_for(model: SoundModel, parts: Mapping[Part, int], video: int, free: int, memory: str = "GPU memory") -> Room:
    """What lies on the device while the model works. All are bytes: the weights of each of its parts, what the video
    model needs in all, and what the device's `memory` has for both. Raises `JobError` OUT_OF_MEMORY if it has too
    little for the largest part alone."""
    beside = max(model.activation_bytes(part) for part in Part)
    if video + sum(parts.values()) + beside <= free:  # the video's bytes have the reserve
        return Room.BESIDE
    if sum(parts.values()) + beside + RESERVE <= free:
        return Room.ALONE
    least = max(bytes + model.activation_bytes(part) for part, bytes in parts.items()) + RESERVE
    if least > free:
        raise JobError(
            Code.OUT_OF_MEMORY,
            f"Out of {memory}: the sound needs at least {least / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free.",
        )
    return Room.BY_PART

"""The one validated, frozen form of a request that every API is translated into, and what a job gives back.

`apis` make a `VideoRequest`. Nobody looks at the job's `input` after that. If a field is None, the model's own default
applies.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Literal

from videoworker.effort import Effort

Container = Literal["mp4", "webm"]
Quality = Literal["low", "medium", "high"]
Mark = Literal["iptc", "c2pa"]
Stage = Literal["load", "encode_prompt", "denoise", "decode", "sound", "encode", "deliver"]


@dataclass(frozen=True)
class AudioRequest:
    """The sound that is asked for beside the picture."""

    prompt: str | None = None
    negative_prompt: str | None = None
    guidance_scale: float | None = None
    num_inference_steps: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class VideoRequest:
    """One video to make. Sizes are in pixels, `duration` is in seconds.

    At most one of `num_frames` and `duration` is set. If neither is, the clip has the model's default length. `image`,
    `last_image` and `video` are a URL, a data URI or base64, not yet decoded.

    If `video` is set, so is `audio`: that clip gets a sound, and its picture stays as it is. Of the rest, `seed` alone
    has an effect then.
    """

    api: str
    prompt: str
    model: str | None = None
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    num_frames: int | None = None
    duration: float | None = None
    fps: int | None = None
    seed: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    embedded_guidance_scale: float | None = None
    flow_shift: float | None = None
    image: str | None = None
    last_image: str | None = None
    video: str | None = None
    audio: AudioRequest | None = None
    low_vram: bool = False
    container: Container = "mp4"
    quality: Quality = "medium"
    crf: int | None = None
    embed_prompt: bool = False
    effort: Effort | None = None
    max_file_size: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far a job is. `fraction` (0..1) never decreases within a job. `remaining` is an estimate in seconds, None
    while there is none. `preview` is a small picture of what emerges, as a data URI; None while there is none.
    `reported_at` is the moment at which this was true, in Unix seconds."""

    job_id: str
    stage: Stage
    step: int
    steps: int
    fraction: float
    elapsed: float
    remaining: float | None
    preview: str | None = None
    reported_at: float = field(default_factory=time.time, compare=False)


@dataclass(frozen=True)
class Video:
    """The finished file, as every answer reports it. `duration` is in seconds, `file_size` in bytes. `url` is empty
    until the file is delivered.

    `fps` is whole if the picture was made here; a clip that was given may have 29.97. If it was given, `seed`, `model`,
    `steps`, `guidance_scale` and `effort` are those of its sound.

    `marks` says how the file tells that a model made it. `manifest_url` leads to its C2PA manifest if that does not lie
    in the file itself.
    """

    url: str
    container: Container
    codec: str
    width: int
    height: int
    num_frames: int
    fps: int | float
    duration: float
    file_size: int
    sha256: str
    seed: int
    model: str
    model_revision: str
    steps: int
    guidance_scale: float
    has_audio: bool
    effort: Effort = "full"
    notes: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    manifest_url: str | None = None


@dataclass(frozen=True)
class Result:
    """A finished job. `timings` are seconds by stage, with `total`. `created_at` and `finished_at` are Unix seconds."""

    job_id: str
    request: VideoRequest
    video: Video
    timings: dict[str, float]
    created_at: float
    finished_at: float

    def at(self, url: str, manifest_url: str | None = None) -> "Result":
        """This, with its video at `url`, and the manifest beside it, if there is one, at `manifest_url`."""
        return replace(self, video=replace(self.video, url=url, manifest_url=manifest_url))

"""What a file of `models` declares of a video model: one value per variant. Others act on it and know no model by
name."""

from dataclasses import dataclass

from videoworker.effort import Effort
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.upscaler import Upscaler


@dataclass(frozen=True)
class Figure:
    """How long a clip took: `seconds` on one `device`, such as "an H100", with `program`, as `source` says publicly.

    The clip's sides are in pixels. Each step took so many `passes` of the denoiser: two with guidance, else one.
    """

    seconds: float
    device: str
    program: str
    source: str
    width: int
    height: int
    num_frames: int
    steps: int
    passes: int

    @property
    def pixels(self) -> int:
        """Those of all frames."""
        return self.width * self.height * self.num_frames


@dataclass(frozen=True)
class Flops:
    """Floating-point operations: of a prediction for each `token` and for each `pair` of tokens, and of decoding for
    each `pixel` of every frame. A multiplication with its addition counts as two. A token stands for `grid` x `grid`
    pixels of `frame_step` frames."""

    token: float
    pair: float
    pixel: float


# What each channel of an autoencoder's latents adds to red, green and blue, and last the sum's constant: -1 to 1.
Rgb = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class VideoModel:
    """One variant of a video model. Sizes are in pixels, lengths in frames.

    `family` is the package in `videoworker.families` that runs it. `rank` orders the models. If a request names none,
    the installed one with the least rank makes the video.

    Requests: a variant makes video from text. If it `takes_image`, it does so from an image too. If it `needs_image`,
    it does so from an image alone. If it has a `fixed_schedule`, it was trained for one course of noise levels, and a
    flow shift is refused. If it is `step_distilled`, it was trained to make a clip in its few default steps.

    Sizes: both sides are multiples of `grid` between `min_side` and `max_side`. The area is at most `max_area`. A
    `fixed_size` variant makes `default_width` x `default_height` alone.

    Clips: a multiple of `frame_step` plus one, between `min_frames` and `max_frames`. A longer clip continues from the
    last `continued_from` frames of the segment before. If that is 0, the variant `continued_by` makes the further
    segments. If that is empty too, there is no longer clip.

    `upscaler` brings clips of about `max_area` to a larger size, if its weights are there; None: there is none.

    `default_low_noise_guidance_scale`: of a second denoiser, if its own differs. A request names one scale, and that
    is for both.

    Memory beside the weights: `denoise_bytes` per pixel of a clip while it is denoised, `decode_bytes` per pixel of one
    frame while a clip is decoded in the least pieces: of a frame at most `decode_area` pixels at once; 0: all of them.
    Each further latent frame that is decoded at once takes `decode_latent_bytes` per pixel; 0: there is one alone. If
    the least pieces are tiles, whole pictures take `decode_picture_bytes` per pixel; 0: there are tiles alone.
    `figures` are what is published of its speed, and `flops` what it computes, if that was counted.

    `rgb` shows its latents as small pictures while a clip is made. `python -m builder.fit_rgb` finds it. Empty: there
    are no previews.
    """

    checkpoint: Checkpoint
    family: str
    rank: int
    grid: int
    max_area: int
    min_side: int
    max_side: int
    frame_step: int
    min_frames: int
    max_frames: int
    default_width: int
    default_height: int
    default_frames: int
    fps: int
    default_steps: int
    default_guidance_scale: float
    default_low_noise_guidance_scale: float | None = None
    denoise_bytes: float = 0.0
    decode_bytes: float = 0.0
    decode_area: int = 0
    decode_latent_bytes: float = 0.0
    decode_picture_bytes: float = 0.0
    figures: tuple[Figure, ...] = ()
    flops: Flops | None = None
    rgb: Rgb = ()
    takes_image: bool = False
    needs_image: bool = False
    fixed_size: bool = False
    continued_from: int = 0
    continued_by: str = ""
    upscaler: Upscaler | None = None
    takes_flow_shift: bool = False
    fixed_schedule: bool = False
    step_distilled: bool = False
    takes_embedded_guidance: bool = False
    needs_gpu: bool = True

    def latent_frames(self, num_frames: int) -> int:
        """How many frames of latents stand for so many frames."""
        return (num_frames - 1) // self.frame_step + 1

    def decoded_at_once(self, pixels: int) -> int:
        """So many of the pixels of one frame."""
        return min(pixels, self.decode_area or pixels)

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """The tiers that it has."""
        return ("turbo",) if self.step_distilled else ("exact", "full", "fast")

    @property
    def default_effort(self) -> Effort:
        return "turbo" if self.step_distilled else "full"

    @property
    def name(self) -> str:
        """The name that a caller uses. All variants of a model share it."""
        return self.checkpoint.model

    @property
    def variant(self) -> str:
        """The variant's name; empty if the model has one alone."""
        return self.checkpoint.variant

"""Where a model's weights lie while a clip is made, chosen from bytes alone.

Every placement but the last gives the same video. A text encoder runs once or twice in a clip and a transformer a
hundred times, each time for as long as its next layers need to be fetched, so both can be fetched layer by layer from
the host's memory; an autoencoder makes too little of its bytes for that and always stays on the device. Of several
denoisers each has its own part of the noise levels, so that all but one can wait in the host's memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint, Role
from videoworker.models.piece import LEAST, Piece
from videoworker.models.video_model import VideoModel
from videoworker.planning.memory import GIB, RESERVE
from videoworker.planning.plan import Plan

# How much of an offloaded network is on the device at once: the layers that run and those that come next. At most this
# share: HunyuanVideo's text encoder begins with the words' table, 1.05 of its 15.0 GB; transformers here stay below.
_STREAMED_SHARE = 0.15

# Of the memory that the least piece leaves, so much goes to larger ones: the allocator cannot use all of it.
_PIECES_SHARE = 0.5

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

# Of latents in float32, for each pixel: at most 16 channels for 8x8 pixels of 4 frames. So many frames at the ends of a
# clip have latents of their own.
_LATENT_BYTES, _LATENT_FRAMES_MORE = 0.25, 8

# float8_e4m3fn in place of bfloat16.
_FP8_SHARE = 0.5


class Placement(StrEnum):
    """From the fastest to the leanest; each needs no more of the device than the one before. `one_denoiser` offloads
    encoders of text too.

    `mapped` is a processor's: the weights stay in their files, and come to memory as they are needed, one network after
    the other."""

    RESIDENT = "resident"
    TEXT_ENCODER_OFFLOAD = "text_encoder_offload"
    ONE_DENOISER = "one_denoiser"
    GROUP_OFFLOAD = "group_offload"
    FP8 = "fp8"
    MAPPED = "mapped"

    @property
    def is_exact(self) -> bool:
        """Whether the video is the one that resident weights give."""
        return self is not Placement.FP8

    def is_leaner_than(self, other: "Placement") -> bool:
        """Whether it comes after the other one."""
        every = list(Placement)
        return every.index(self) > every.index(other)

    def serves(self, wanted: "Placement") -> bool:
        """Whether what asks for `wanted` can be made with this one: the same video, in no more memory."""
        return self is wanted or (self.is_exact and self.is_leaner_than(wanted))


# Those of a GPU, and of a processor.
LADDER = tuple(placement for placement in Placement if placement is not Placement.MAPPED)
ON_PROCESSOR = (Placement.RESIDENT, Placement.MAPPED)


def ladder(*checkpoints: Checkpoint) -> tuple[Placement, ...]:
    """The placements that differ for one of these checkpoints, from the fastest to the leanest."""
    several = any(
        sum(component.role is Role.DENOISER for component in checkpoint.components) > 1 for checkpoint in checkpoints
    )
    return tuple(placement for placement in LADDER if several or placement is not Placement.ONE_DENOISER)


def leaner(placement: Placement, *checkpoints: Checkpoint) -> Placement | None:
    """The next one that differs for one of these checkpoints; None after the leanest."""
    return next((one for one in ladder(*checkpoints) if one.is_leaner_than(placement)), None)


@dataclass(frozen=True)
class WeightBytes:
    """Bytes that the networks have on the device, by role. The encoders are those of texts and of images, together;
    the denoisers each by itself. An upsampler, if there is one, counts with the autoencoder."""

    encoders: int
    denoisers: tuple[int, ...]
    autoencoder: int

    @property
    def total(self) -> int:
        return self.encoders + sum(self.denoisers) + self.autoencoder


def together(*weights: WeightBytes) -> WeightBytes:
    """Of networks that are loaded together."""
    return WeightBytes(
        sum(one.encoders for one in weights),
        tuple(denoiser for one in weights for denoiser in one.denoisers),
        sum(one.autoencoder for one in weights),
    )


def declared_bytes(checkpoint: Checkpoint) -> WeightBytes:
    """About what the published checkpoint has on a GPU, in the dtypes that its networks compute in."""
    return bytes_by_role(checkpoint, declared_sizes(checkpoint))


def declared_sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """As `declared_bytes`, by component."""
    return {
        component.name: component.size // ITEM_BYTES[component.stored] * ITEM_BYTES[component.dtype]
        + component.float32_parameters * (ITEM_BYTES["float32"] - ITEM_BYTES[component.dtype])
        for component in checkpoint.components
    }


def bytes_by_role(checkpoint: Checkpoint, sizes: Mapping[str, int]) -> WeightBytes:
    """From bytes by component."""
    by_role = {role: [size for name, size in sizes.items() if checkpoint.role(name) is role] for role in Role}
    encoders = by_role[Role.TEXT_ENCODER] + by_role[Role.IMAGE_ENCODER]
    always_here = by_role[Role.AUTOENCODER] + by_role[Role.UPSAMPLER]
    return WeightBytes(sum(encoders), tuple(by_role[Role.DENOISER]), sum(always_here))


def activations(plan: Plan) -> int:
    """Bytes beside the weights at the worst moment of the longest segment."""
    num_frames = max(segment.num_frames for segment in plan.segments)
    latents = _LATENT_BYTES * (num_frames + _LATENT_FRAMES_MORE)
    return max(
        _activations(
            plan.model,
            canvas.native_pixels,
            num_frames,
            round(latents * canvas.native_pixels * sampling.cached_tensors),
        )
        for canvas, sampling in plan.courses
    )


def default_activations(model: VideoModel) -> int:
    """As `activations`, of a clip of the model's default size and length."""
    return _activations(model, model.default_width * model.default_height, model.default_frames)


def _activations(model: VideoModel, pixels: int, num_frames: int, cached: int = 0) -> int:
    """The more of denoising a clip, which is done as a whole, and of decoding it, which is done as a stream. `cached`
    are the bytes that are kept between steps."""
    decoding = model.decode_bytes * model.decoded_at_once(pixels)
    return round(max(model.denoise_bytes * pixels * num_frames + cached, decoding))


def largest_piece(model: VideoModel, pixels: int, room: int) -> Piece:
    """The largest piece of a clip, whose frames have so many pixels, that is decoded in `room` bytes beside the
    weights. If they are too few for the least piece, it is that all the same."""
    spare = max(room - model.decode_bytes * model.decoded_at_once(pixels), 0.0) * _PIECES_SHARE
    more = spare / (model.decode_latent_bytes * pixels) if model.decode_latent_bytes else 0
    return Piece(LEAST.latents + int(more), 0 < model.decode_picture_bytes * pixels <= room)


def needed(weights: WeightBytes, activation_bytes: int, placement: Placement) -> int:
    """Bytes of device memory that `placement` needs. Pages of files are not counted: they can go at any time."""
    encoders: float = weights.encoders
    denoisers: float = sum(weights.denoisers)
    if placement is not Placement.RESIDENT:
        encoders *= _STREAMED_SHARE
    if placement not in (Placement.RESIDENT, Placement.TEXT_ENCODER_OFFLOAD):
        denoisers = max(weights.denoisers, default=0)
    if placement in (Placement.GROUP_OFFLOAD, Placement.FP8, Placement.MAPPED):
        denoisers *= _STREAMED_SHARE
    if placement is Placement.FP8:
        denoisers *= _FP8_SHARE
    if placement is Placement.MAPPED:
        encoders, denoisers = 0, max(encoders, denoisers)
    return round(encoders + denoisers + weights.autoencoder + activation_bytes + RESERVE)


def allowed(plan: Plan) -> tuple[Placement, ...]:
    """Those that the plan's clip may be made with, from the fastest to the leanest."""
    first = Placement.GROUP_OFFLOAD if plan.low_vram else Placement.RESIDENT
    rounds = plan.sampling.effort != "exact"
    return tuple(one for one in LADDER[LADDER.index(first) :] if one.is_exact or rounds)


def with_room(plan: Plan, free: int) -> Plan:
    """The plan; without super-resolution, if `free` bytes of the device are not enough for that. The bytes are those
    that are declared, so that its weights are not fetched in vain."""
    larger = plan.super_resolution
    if larger is None:
        return plan
    more, beside, leanest = declared_bytes(larger.upscaler.checkpoint), activations(plan), allowed(plan)[-1]
    weights = [together(declared_bytes(model.checkpoint), more) for model in plan.models]
    if all(needed(one, beside, leanest) <= free for one in weights):
        return plan
    return plan.without_super_resolution("super-resolution needs more GPU memory than is free.")


def on_processor(among: Sequence[Placement]) -> tuple[Placement, ...]:
    """What a processor has in place of a GPU's placements `among`."""
    return ON_PROCESSOR if Placement.RESIDENT in among else (Placement.MAPPED,)


def best_placement(
    weights: WeightBytes,
    activation_bytes: int,
    free: int,
    among: Sequence[Placement] = LADDER,
    memory: str = "GPU memory",
) -> Placement:
    """The first of the placements `among`, from the fastest to the leanest, for which `free` bytes of the device's
    `memory` are enough. Raises `JobError` OUT_OF_MEMORY with what the leanest needs and what there is."""
    for placement in among:
        if needed(weights, activation_bytes, placement) <= free:
            return placement
    least = needed(weights, activation_bytes, among[-1])
    raise JobError(
        Code.OUT_OF_MEMORY,
        f"Out of {memory}: this video needs at least {least / GIB:.1f} GiB, of which "
        f"{activation_bytes / GIB:.1f} GiB for its size and length, and {free / GIB:.1f} GiB are free. "
        "Reduce resolution or duration.",
    )

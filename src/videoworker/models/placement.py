"""Where a model's weights lie while a clip is made, chosen from bytes alone.

Every placement but the last gives the same video. A text encoder runs once or twice in a clip and a transformer a
hundred times, each time for as long as its next layers need to be fetched, so both can be fetched layer by layer from
the host's memory; an autoencoder makes too little of its bytes for that and always stays on the device.
"""

from dataclasses import dataclass
from enum import StrEnum

from videoworker.errors import Code, JobError
from videoworker.models.declaration import Model
from videoworker.models.plan import Plan

GIB = 1 << 30

# The CUDA context, kernels' workspaces, and what the allocator cannot use between blocks: 1 to 3 GiB.
_RESERVE = 2 * GIB

# How much of an offloaded network is on the device at once: the layers that run and those that come next. At most this
# share: HunyuanVideo's text encoder begins with the words' table, 1.05 of its 15.0 GB; transformers here stay below.
_STREAMED_SHARE = 0.15

# float8_e4m3fn in place of bfloat16.
_FP8_SHARE = 0.5


class Placement(StrEnum):
    """From the fastest to the leanest; each needs no more of the device than the one before."""

    RESIDENT = "resident"
    TEXT_ENCODER_OFFLOAD = "text_encoder_offload"
    GROUP_OFFLOAD = "group_offload"
    FP8 = "fp8"

    @property
    def is_exact(self) -> bool:
        """Whether the video is the one that resident weights give."""
        return self is not Placement.FP8

    @property
    def leaner(self) -> "Placement | None":
        """The next one; None after the leanest."""
        rest = LADDER[LADDER.index(self) + 1 :]
        return rest[0] if rest else None

    def serves(self, wanted: "Placement") -> bool:
        """Whether what asks for `wanted` can be made with this one: the same video, in no more memory."""
        return self is wanted or (self.is_exact and LADDER.index(self) > LADDER.index(wanted))


LADDER = tuple(Placement)


@dataclass(frozen=True)
class Weights:
    """Bytes that the networks have on the device."""

    text_encoders: int
    transformer: int
    vae: int


def declared_weights(model: Model) -> Weights:
    """About what the published checkpoint has on a GPU, in 16 bits each."""
    return weights_of({part.name: part.size // (2 if part.dtype == "float32" else 1) for part in model.components})


def weights_of(sizes: dict[str, int]) -> Weights:
    """From bytes by component: what is neither transformer nor autoencoder describes the prompt or its picture."""
    transformer, vae = sizes.get("transformer", 0), sizes.get("vae", 0)
    return Weights(sum(sizes.values()) - transformer - vae, transformer, vae)


def activations(plan: Plan) -> int:
    """Bytes beside the weights at the worst moment of the longest part."""
    return _activations(
        plan.model,
        plan.canvas.native_width * plan.canvas.native_height,
        max(part.num_frames for part in plan.parts),
    )


def default_activations(model: Model) -> int:
    """As `activations`, of a clip of the model's default size and length."""
    return _activations(model, model.default_width * model.default_height, model.default_frames)


def _activations(model: Model, pixels: int, num_frames: int) -> int:
    """The more of denoising a clip, which is done as a whole, and of decoding it, which is done as a stream."""
    return round(max(model.denoise_bytes * pixels * num_frames, model.decode_bytes * pixels))


def needed(weights: Weights, activation_bytes: int, placement: Placement) -> int:
    """Bytes of device memory that `placement` needs."""
    text_encoders: float = weights.text_encoders
    transformer: float = weights.transformer
    if placement is not Placement.RESIDENT:
        text_encoders *= _STREAMED_SHARE
    if placement in (Placement.GROUP_OFFLOAD, Placement.FP8):
        transformer *= _STREAMED_SHARE
    if placement is Placement.FP8:
        transformer *= _FP8_SHARE
    return round(text_encoders + transformer + weights.vae + activation_bytes + _RESERVE)


def choose(
    weights: Weights, activation_bytes: int, free: int, from_placement: Placement = Placement.RESIDENT
) -> Placement:
    """The first placement, beginning with `from_placement`, for which `free` bytes of the device are enough. Raises
    `JobError` OUT_OF_MEMORY with what the leanest needs and what there is."""
    for placement in LADDER[LADDER.index(from_placement) :]:
        if needed(weights, activation_bytes, placement) <= free:
            return placement
    least = needed(weights, activation_bytes, LADDER[-1])
    raise JobError(
        Code.OUT_OF_MEMORY,
        f"Out of GPU memory: this video needs at least {least / GIB:.1f} GiB, of which "
        f"{activation_bytes / GIB:.1f} GiB for its size and length, and {free / GIB:.1f} GiB are free. "
        "Reduce resolution or duration.",
    )

"""The presets of the Hub's listing: one for each model that runs, and what it needs of a GPU and of a disk, by the
arithmetic of `videoworker estimate`. Nothing here is measured."""

import math
from dataclasses import dataclass

from videoworker.models import SOUND_VARIANTS, VARIANTS, upscalers
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.sound_model import SoundModel
from videoworker.models.video_model import VideoModel
from videoworker.planning.memory import GIB
from videoworker.planning.placement import (
    ITEM_BYTES,
    LADDER,
    Placement,
    declared_bytes,
    default_activations,
    needed,
)
from videoworker.planning.plan import plan_clip
from videoworker.planning.published_seconds import Estimate, estimates
from videoworker.planning.variants import suited
from videoworker.request import VideoRequest

# RunPod's GPU pools and the GB of their cards, smallest first: docs.runpod.io/references/gpu-types, and for the pools
# of Blackwell and of the RTX 5090 docs.runpod.io/flash/configuration/gpu-types.
POOLS = {
    "AMPERE_16": 16,
    "AMPERE_24": 24,
    "ADA_24": 24,
    "ADA_32_PRO": 32,
    "AMPERE_48": 48,
    "ADA_48_PRO": 48,
    "AMPERE_80": 80,
    "ADA_80_PRO": 80,
    "BLACKWELL_96": 96,
    "HOPPER_141": 141,
    "BLACKWELL_180": 180,
}

# USD per second of a flex worker of these pools, and when that was read: docs.runpod.io/serverless/pricing. If a pool
# has cards of several prices, the highest. RunPod's table has no RTX 5090.
PRICES_READ = "2026-11-25"
PRICES = {
    "AMPERE_16": 0.00016,
    "AMPERE_24": 0.00019,
    "ADA_24": 0.00031,
    "AMPERE_48": 0.00034,
    "ADA_48_PRO": 0.00053,
    "AMPERE_80": 0.00076,
    "ADA_80_PRO": 0.00116,
    "BLACKWELL_96": 0.00111,
    "HOPPER_141": 0.00155,
    "BLACKWELL_180": 0.00240,
}
_POOL_OF = {"an H100": "ADA_80_PRO", "an H200": "HOPPER_141"}  # of the cards that figures are of

# Error correction takes a sixteenth of a card's memory if it is done there: an L40S of 48 GB has 45.0 GiB.
_USABLE_BYTES_PER_GB = GIB * 15 // 16

IMAGE_BYTES = 8_000_000_000  # without weights; nearly all of it is torch with CUDA
_VIDEOS_BYTES = 2_000_000_000  # of one job, and as much again as the worker wants free at its start
_FREE_SHARE = 0.1  # RunPod's SDK ends a worker whose disk is fuller at its start

# An A40 computes at 150 of an H200's 990 teraflops in 16 bits, so that HunyuanVideo-1.5's 2,621 s become 4.8 hours.
_JOB_TIMEOUT_SECONDS = 21_600


@dataclass(frozen=True)
class Preset:
    """`models` are the variants that are fetched: the one that the worker starts with, then the one that an image
    brings, if that is another. `sound` is fetched for the first job that wants it; None if nothing is fetched."""

    models: tuple[VideoModel, ...]
    sound: SoundModel | None

    @property
    def model(self) -> VideoModel:
        """The variant that the worker starts with."""
        return self.models[0]

    @property
    def name(self) -> str:
        """The model, and the smallest GPU that makes its default clip exactly."""
        least = min(POOLS[pool] for placement, pools in self.pools.items() if placement.is_exact for pool in pools)
        return f"{self.model.name}, GPU of {least} GB or more"

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """All that are fetched."""
        sound = () if self.sound is None else (self.sound.checkpoint,)
        larger = (upscaler.checkpoint for upscaler in upscalers(self.models))
        return (*(model.checkpoint for model in self.models), *larger, *sound)

    @property
    def defaults(self) -> dict[str, str | int | bool]:
        """Values of environment variables. A licence that must be accepted is not: that is for the user to do."""
        if not self.model.checkpoint.repository:
            return {"MODEL": self.model.name}
        acceptance = {"ACCEPT_TENCENT_LICENSE": False}
        return {
            "MODEL": self.model.name,
            "ALLOW_DOWNLOAD": True,
            **(acceptance if any(checkpoint.needs_acceptance for checkpoint in self.checkpoints) else {}),
            "JOB_TIMEOUT_SECONDS": _JOB_TIMEOUT_SECONDS,
        }

    @property
    def pools(self) -> dict[Placement, list[str]]:
        """The pools that fit, by the placement that every card of a pool can do at least."""
        fitting: dict[Placement, list[str]] = {}
        for pool, size in POOLS.items():
            placement = next((one for one in LADDER if self.needed(one) <= size * _USABLE_BYTES_PER_GB), None)
            if placement is not None:
                fitting.setdefault(placement, []).append(pool)
        return fitting

    @property
    def disk_gb(self) -> int:
        """For image, weights and videos, in steps of 5 GB. Files that the hub has in another dtype or layout lie there
        beside what is made of them until all is made. One checkpoint is fetched after the other."""
        weights = sum(one.size for one in self.checkpoints) + max(map(_bytes_beside, self.checkpoints))
        return 5 * math.ceil((IMAGE_BYTES + _VIDEOS_BYTES + weights) / (1 - _FREE_SHARE) / 5e9)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Of the default clip, by published figures of cards."""
        if not self.model.needs_gpu:
            return ()
        return estimates(plan_clip(VideoRequest(api="native", prompt="-"), self.model))

    def needed(self, placement: Placement) -> int:
        """Bytes of device memory for the default clip of any of its variants."""
        return max(
            needed(declared_bytes(model.checkpoint), default_activations(model), placement) for model in self.models
        )


def priced(estimate: Estimate) -> str:
    """With the USD on the card of the figure, if it is known which that is."""
    pool = _POOL_OF.get(estimate.figure.device)
    return str(estimate) if pool is None else f"{estimate}: {estimate.seconds * PRICES[pool]:.2f} USD"


def _bytes_beside(checkpoint: Checkpoint) -> int:
    """Of the published files that are written anew."""
    return sum(origin.size for origin in checkpoint.origins) + sum(
        component.size // ITEM_BYTES[component.stored] * ITEM_BYTES[component.fetched.dtype]
        for component in checkpoint.components
        if component.is_cast
    )


# What a worker with a GPU fetches if it has no sound model.
_BEST_SOUND = next(iter(SOUND_VARIANTS.values()))[0]


def _preset(variants: tuple[VideoModel, ...]) -> Preset:
    for_image = suited(variants, VideoRequest(api="native", prompt="-", image="-"))[0]
    is_fetched = bool(variants[0].checkpoint.repository)
    return Preset(tuple(dict.fromkeys((variants[0], for_image))), _BEST_SOUND if is_fetched else None)


PRESETS = tuple(_preset(variants) for variants in VARIANTS.values())

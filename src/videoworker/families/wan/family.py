"""Wan 2.2, in the order in which a clip is made: load, encode_prompts, get_noise, encode_frames, start, decode.

TI2V-5B makes video from text and from a first frame with the same weights. The frame stands among the latents as a
clean one, which the transformer is told by its timestep of 0. A14B is two transformers, one for the steps of high noise
and one for those of low noise; its image model sees the frame beside the noise (Wan, arXiv:2503.20314; Wan2.2's
README). Latents are [1, T, C, h, w] for the engine and [1, C, T, h, w] within, of mean 0 and deviation 1 by the
autoencoder's own statistics.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch.nn import functional
from transformers import UMT5EncoderModel

from videoworker.canvas import Frames, Picture
from videoworker.families.wan import decoder
from videoworker.models.piece import LEAST, Piece
from videoworker.models.sampling import Sampling
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.latent_space import Shape, time_first
from videoworker.sampling.pixels import from_frames
from videoworker.sampling.reader import Reader
from videoworker.sampling.unipc import UniPcSchedule, unipc_schedule
from videoworker.watch import Watch

_TEXT_TOKENS = 512  # as many stand beside every clip: the transformer has learned to see the empty ones too


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device. `dtype` is the transformers'. `transformer_2` is for timesteps below
    `boundary`, from 0 to 1; both are None if one transformer is for all."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    transformer_2: Any
    boundary: float | None
    vae: Any
    scheduler_config: Any
    device: torch.device
    dtype: torch.dtype


def load(reader: Reader) -> Networks:
    """Reads a checkpoint. The transformers' norms and their embedding of the timestep stay in float32."""
    boundary = WanPipeline.load_config(reader.folder, local_files_only=True)["boundary_ratio"]
    low_noise = None if boundary is None else reader.network(WanTransformer3DModel, "transformer_2")
    return Networks(
        tokenizer=reader.tokenizer("tokenizer"),
        text_encoder=reader.encoder(UMT5EncoderModel, "text_encoder"),
        transformer=reader.network(WanTransformer3DModel, "transformer"),
        transformer_2=low_noise,
        boundary=boundary,
        vae=reader.network(AutoencoderKLWan, "vae"),
        scheduler_config=reader.scheduler_config(),
        device=reader.device,
        dtype=reader.dtypes["transformer"],
    )


@torch.inference_mode()
def encode_prompts(
    networks: Networks, prompts: Sequence[str], image: Picture | None
) -> tuple[tuple[torch.Tensor, ...], int]:
    """The states [1, 512, dim] of each prompt's own tokens, and zeros behind them; and how many tokens of the last
    prompt did not fit. The image is not described."""
    states, cut = list[torch.Tensor](), 0
    for prompt in map(prompt_clean, prompts):
        cut = max(len(networks.tokenizer(prompt).input_ids) - _TEXT_TOKENS, 0)
        tokens = networks.tokenizer(prompt, max_length=_TEXT_TOKENS, truncation=True, return_tensors="pt").input_ids
        encoded = networks.text_encoder(tokens.to(networks.device)).last_hidden_state.to(networks.dtype)
        states.append(functional.pad(encoded, (0, 0, 0, _TEXT_TOKENS - encoded.shape[1])))
    return tuple(states), cut


def get_noise(networks: Networks, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32. It is drawn on the CPU, so that a seed means the same on every device."""
    config = networks.vae.config
    time = (shape.num_frames - 1) // config.scale_factor_temporal + 1
    height, width = (side // config.scale_factor_spatial for side in (shape.height, shape.width))
    drawn = torch.randn((1, config.z_dim, time, height, width), generator=generator)
    return time_first(drawn.to(networks.device))


@torch.inference_mode()
def encode_frames(networks: Networks, frames: Frames) -> torch.Tensor:
    """Latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 frames."""
    return time_first(_encode(networks, from_frames(frames, networks.device, networks.vae.dtype)))


def _encode(networks: Networks, pixels: torch.Tensor) -> torch.Tensor:
    """Latents [1, C, T, h, w] of pixels [1, 3, n, height, width] from -1 to 1."""
    mean, deviation = _statistics(networks)
    encoded: torch.Tensor = networks.vae.encode(pixels).latent_dist.mode()
    return (encoded.float() - mean) / deviation


def _statistics(networks: Networks) -> tuple[torch.Tensor, torch.Tensor]:
    """By channel, the mean of the autoencoder's latents and their deviation, [1, C, 1, 1, 1]."""
    config = networks.vae.config
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1, 1).to(networks.device)
        for values in (config.latents_mean, config.latents_std)
    )
    return mean, deviation


@torch.inference_mode()
def start(networks: Networks, inputs: Inputs[torch.Tensor]) -> Start[torch.Tensor]:
    """Each prompt runs by itself. Known latents stay as they are, and the loop sees those after them; but the image
    model makes all of them, and sees the known frames beside."""
    sampling, noise = inputs.sampling, inputs.noise.transpose(1, 2)
    schedule = unipc_schedule(networks.scheduler_config, sampling.steps, sampling.flow_shift, torch.device("cpu"))
    high = _high_noise_steps(networks, schedule)
    schedule = replace(schedule, timesteps=schedule.timesteps.to(networks.device))
    known, beside = noise[:, :, :0], noise[:, :0]
    if inputs.known_frames is not None and networks.transformer.config.in_channels > noise.shape[1]:
        beside = _beside(networks, inputs.known_frames, noise.shape[2])
    elif inputs.known is not None:
        known = inputs.known.transpose(1, 2)
    count, moving = known.shape[2], _moving(networks, noise, known.shape[2])

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        transformer = networks.transformer if index < high else networks.transformer_2
        seen = torch.cat([torch.cat([known, latents], dim=2), beside], dim=1).to(networks.dtype)
        return [
            transformer(
                hidden_states=seen,
                timestep=schedule.timesteps[index] * moving,
                encoder_hidden_states=states,
                return_dict=False,
            )[0][:, :, count:].float()
            for states in prompts
        ]

    return Start(
        noise[:, :, count:],
        schedule,
        inputs.prompts,
        _guidance(sampling, high),
        predict,
        finish=lambda latents: time_first(torch.cat([known, latents], dim=2)),
    )


def _guidance(sampling: Sampling, high: int) -> Guidance:
    """Of the first `high` steps, and of those after them."""
    scale, low_noise_scale = sampling.guidance_scale, sampling.low_noise_guidance_scale
    low_noise_scale = scale if low_noise_scale is None else low_noise_scale
    return Guidance((scale,) * high + (low_noise_scale,) * (sampling.steps - high))


def _high_noise_steps(networks: Networks, schedule: UniPcSchedule) -> int:
    """How many steps the first transformer makes. The schedule is still on the host."""
    if networks.boundary is None:
        return len(schedule.timesteps)
    boundary = networks.boundary * networks.scheduler_config["num_train_timesteps"]
    return int((schedule.timesteps >= boundary).sum())


def _moving(networks: Networks, noise: torch.Tensor, count: int) -> torch.Tensor:
    """By token [1, tokens]: 0 in the first `count` latents, which are clean, else 1. Without them [1], one for all."""
    if not count:
        return torch.ones(1, device=noise.device)
    _, _, time, height, width = noise.shape
    _, patch_height, patch_width = networks.transformer.config.patch_size
    moving = torch.ones(time, height // patch_height * (width // patch_width), device=noise.device)
    moving[:count] = 0
    return moving.flatten()[None]


def _beside(networks: Networks, frames: Frames, time: int) -> torch.Tensor:
    """What the image model sees beside its noise [1, 4 + C, T, h, w]: of each latent's four frames, which are known;
    and the latents of a clip that is grey behind the known frames."""
    ratio = networks.vae.config.scale_factor_temporal
    pixels = from_frames(frames, networks.device, networks.vae.dtype)
    grey = (time - 1) * ratio + 1 - len(frames)
    latents = _encode(networks, functional.pad(pixels, (0, 0, 0, 0, 0, grey)))
    is_known = torch.zeros_like(latents[:, :1]).repeat(1, ratio, 1, 1, 1)
    is_known[:, :, : (len(frames) - 1) // ratio + 1] = 1
    return torch.cat([is_known, latents], dim=1)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch, piece: Piece = LEAST
) -> Iterator[torch.Tensor]:
    """Decodes as many latent frames at a time as a piece has. Nothing is drawn from `generator`."""
    vae, count = networks.vae, latents.shape[1]
    mean, deviation = _statistics(networks)
    encoded = (latents.transpose(1, 2) * deviation + mean).to(vae.dtype)
    done = 0
    for pixels in decoder.decode(vae, encoded, piece.latents):
        done = min(done + piece.latents, count)
        watch.step("decode", done, count)
        yield pixels

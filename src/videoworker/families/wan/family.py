"""Wan 2.2, in the order in which a clip is made: load, encode_prompts, get_noise, encode_frames, start, decode.

TI2V-5B makes video from text and from a first frame with the same weights. The frame stands among the latents as a
clean one, which the transformer is told by its timestep of 0 (Wan, arXiv:2503.20314; Wan2.2's README). Latents are
[1, T, C, h, w] for the engine and [1, C, T, h, w] within, of mean 0 and deviation 1 by the autoencoder's own
statistics.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch.nn import functional
from transformers import UMT5EncoderModel

from videoworker.canvas import Frames, Picture
from videoworker.families.wan import decoder
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.pixels import from_frames
from videoworker.sampling.reader import Reader
from videoworker.sampling.unipc import unipc_schedule
from videoworker.watch import Watch

_TEXT_TOKENS = 512  # as many stand beside every clip: the transformer has learned to see the empty ones too


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device. `dtype` is the transformer's."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler_config: Any
    device: torch.device
    dtype: torch.dtype


def load(reader: Reader) -> Networks:
    """Reads a checkpoint. The transformer's norms and its embedding of the timestep stay in float32."""
    return Networks(
        tokenizer=reader.tokenizer("tokenizer"),
        text_encoder=reader.encoder(UMT5EncoderModel, "text_encoder"),
        transformer=reader.network(WanTransformer3DModel, "transformer"),
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
    return _time_first(drawn.to(networks.device))


@torch.inference_mode()
def encode_frames(networks: Networks, frames: Frames) -> torch.Tensor:
    """Latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 frames."""
    vae = networks.vae
    encoded = vae.encode(from_frames(frames, networks.device, vae.dtype)).latent_dist.mode()
    mean, deviation = _statistics(networks)
    return _time_first((encoded.float() - mean) / deviation)


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
    """Each prompt runs by itself. The known latents stay as they are: the loop sees those after them."""
    sampling, noise = inputs.sampling, inputs.noise.transpose(1, 2)
    known = noise[:, :, :0] if inputs.known is None else inputs.known.transpose(1, 2)
    count = known.shape[2]
    schedule = unipc_schedule(networks.scheduler_config, sampling.steps, sampling.flow_shift, networks.device)
    # Tokens that are known are at timestep 0; without them one timestep for all is enough.
    _, _, time, height, width = noise.shape
    _, patch_height, patch_width = networks.transformer.config.patch_size
    is_noise = torch.ones(time, height // patch_height * (width // patch_width), device=networks.device)
    is_noise[:count] = 0
    moving = is_noise.flatten()[None] if count else is_noise[0, :1]

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        seen = torch.cat([known, latents], dim=2).to(networks.dtype)
        return [
            networks.transformer(
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
        Guidance.constant(sampling.guidance_scale, sampling.steps),
        predict,
        finish=lambda latents: _time_first(torch.cat([known, latents], dim=2)),
    )


def _time_first(latents: torch.Tensor) -> torch.Tensor:
    """[1, T, C, h, w] of [1, C, T, h, w]."""
    return latents.transpose(1, 2)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch
) -> Iterator[torch.Tensor]:
    """One frame at a time. Nothing is drawn from `generator`."""
    vae, count = networks.vae, latents.shape[1]
    mean, deviation = _statistics(networks)
    encoded = (latents.transpose(1, 2) * deviation + mean).to(vae.dtype)
    watch.check()
    for index, pixels in enumerate(decoder.decode(vae, encoded)):
        watch.step("decode", -(-index // vae.config.scale_factor_temporal) + 1, count)
        yield pixels

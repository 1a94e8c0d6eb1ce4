"""Sampling of LTX-Video, in the order in which a clip is made: encode_prompt, prepare, denoise, decode.

Plain functions over the family's own diffusers networks. The same weights make video from text and from first frames:
what is given stands among the latents as clean ones, which the transformer is told by their timestep of 0. Latents are
[1, T, C, h, w], in float32 between steps, of mean 0 and deviation 1 by the autoencoder's own statistics (LTX-Video,
arXiv:2501.00103).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel
from transformers import T5EncoderModel

from videoworker.engine import flow_matching, latent_space, ltx_decoder
from videoworker.engine.parts import Parts
from videoworker.engine.pixels import from_frames, to_frames
from videoworker.models.plan import Sampling
from videoworker.watch import Watch

DESCRIBES_IMAGE = False

_MAX_TEXT_TOKENS = 128
_FPS = 25  # of the videos it was trained on, where nothing else is asked for

# For decoders that are conditioned on a timestep: how noisy the latents are said to be, and how much noise they get
# (Lightricks/LTX-Video, configs: `decode_timestep`, `decode_noise_scale`).
_DECODE_TIMESTEP, _DECODE_NOISE = 0.05, 0.025


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device and in one dtype."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler_config: Any
    device: torch.device
    dtype: torch.dtype


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Reads a checkpoint in diffusers layout; safetensors only."""
    parts = Parts(folder, device, dtype)
    return Networks(
        tokenizer=parts.tokenizer("tokenizer"),
        text_encoder=parts.encoder(T5EncoderModel, "text_encoder"),
        transformer=parts.network(LTXVideoTransformer3DModel, "transformer"),
        vae=parts.network(AutoencoderKLLTXVideo, "vae"),
        scheduler_config=parts.scheduler_config(),
        device=device,
        dtype=dtype,
    )


@torch.inference_mode()
def encode_prompt(networks: Networks, prompts: list[str], image: np.ndarray | None) -> tuple[list[torch.Tensor], int]:
    """The states [1, tokens, dim] of each prompt's own tokens, and how many tokens of the last did not fit. The text
    encoder reads padding too, since the family was trained so; the transformer never looks at it, so it is cut off
    here and needs no mask. The image is not described."""
    states, whole = [], 0
    for prompt in prompts:
        padded = networks.tokenizer(
            prompt, padding="max_length", max_length=_MAX_TEXT_TOKENS, truncation=True, return_tensors="pt"
        )
        encoded = networks.text_encoder(padded.input_ids.to(networks.device))[0].to(networks.dtype)
        states.append(encoded[:, : int(padded.attention_mask.sum())])
        whole = len(networks.tokenizer(prompt).input_ids)
    return states, max(whole - _MAX_TEXT_TOKENS, 0)


@torch.inference_mode()
def encode_frames(networks: Networks, frames: np.ndarray) -> torch.Tensor:
    """Latents [1, (n - 1) / 8 + 1, C, h, w] of n = 8k + 1 RGB frames [n, height, width, 3], uint8."""
    encoded = networks.vae.encode(from_frames(frames, networks.device, networks.dtype)).latent_dist.mode()
    mean, deviation = _statistics(networks.vae)
    normal: torch.Tensor = (encoded.float().transpose(1, 2) - mean) / deviation
    return normal


def _statistics(vae: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """By channel, the mean of the autoencoder's latents and their deviation, [1, 1, C, 1, 1]."""
    mean, deviation = (
        values.float().view(1, 1, -1, 1, 1)
        for values in (vae.latents_mean, vae.latents_std / vae.config.scaling_factor)
    )
    return mean, deviation


def get_noise(networks: Networks, num_frames: int, width: int, height: int, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    return latent_space.noise(networks.vae, num_frames, width, height, generator, networks.device)


@torch.inference_mode()
def denoise(
    networks: Networks,
    noise: torch.Tensor,
    conditioning: list[torch.Tensor],
    given: torch.Tensor | None,
    sampling: Sampling,
    watch: Watch,
    part: tuple[int, int],
    generator: torch.Generator,
) -> torch.Tensor:
    """Latents [1, T, C, h, w] from noise. `conditioning` has two prompts (negative first) under classifier-free
    guidance; each runs by itself, since they have not the same number of tokens. `given` are the clip's first latents
    and stay as they are."""
    vae, (_, time, _, height, width) = networks.vae, noise.shape
    known = noise[:, :0] if given is None else given
    scale = vae.temporal_compression_ratio / (sampling.fps or _FPS), *[vae.spatial_compression_ratio] * 2
    # Tokens that are given are at timestep 0; without them one timestep for all is enough.
    is_noise = torch.ones(time, height * width, device=networks.device)
    is_noise[: known.shape[1]] = 0
    moving = is_noise.flatten() if known.shape[1] else is_noise[0, :1]

    def predict(latents: torch.Tensor, timestep: torch.Tensor, _: int) -> torch.Tensor:
        tokens = torch.cat([known, latents], dim=1).permute(0, 1, 3, 4, 2).flatten(1, 3)  # [1, T * h * w, C]
        predicted = [
            networks.transformer(
                hidden_states=tokens.to(networks.dtype),
                encoder_hidden_states=states,
                timestep=(timestep * moving)[None],
                encoder_attention_mask=None,
                num_frames=time,
                height=height,
                width=width,
                rope_interpolation_scale=scale,
                return_dict=False,
            )[0].float()
            for states in conditioning
        ]
        velocity = flow_matching.guided(predicted, sampling.guidance_scale)
        placed = velocity.reshape(1, time, height, width, -1).permute(0, 1, 4, 2, 3)
        return placed[:, known.shape[1] :]

    scheduler = _scheduler(networks, sampling.steps, time * height * width)
    made = flow_matching.denoise(noise[:, known.shape[1] :], scheduler, predict, watch, part)
    return torch.cat([known, made], dim=1)


def _scheduler(networks: Networks, steps: int, tokens: int) -> Any:
    """Longer clips and larger pictures step longer through noise: the shift's logarithm is linear in the number of
    tokens, along the line that the checkpoint's scheduler configuration gives by two points."""
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(networks.scheduler_config)
    config = scheduler.config
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    shift = config.base_shift + slope * (tokens - config.base_image_seq_len)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=shift, device=networks.device)
    return scheduler


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, watch: Watch, part: tuple[int, int], generator: torch.Generator
) -> Iterator[np.ndarray]:
    """RGB frames [height, width, 3], uint8, one by one, of one latent at a time. A decoder that is conditioned on a
    timestep takes the last of the noise away itself, and first gets a little."""
    vae, count = networks.vae, latents.shape[1]
    mean, deviation = _statistics(vae)
    encoded = (latents * deviation + mean).transpose(1, 2)  # [1, C, T, h, w]
    if vae.config.timestep_conditioning:
        noise = torch.randn(encoded.shape, generator=generator).to(networks.device)
        encoded = (1 - _DECODE_NOISE) * encoded + _DECODE_NOISE * noise
    encoded = encoded.to(networks.dtype)

    def one_by_one() -> Iterator[torch.Tensor]:
        for index in range(count):
            watch.check()
            yield encoded[:, :, index : index + 1]

    made = 0
    for pixels in ltx_decoder.decode(vae.decoder, one_by_one(), _DECODE_TIMESTEP, generator):
        made += pixels.shape[2]
        watch.step("decode", (made - 1) // vae.temporal_compression_ratio + 1, count, part)
        yield from to_frames(pixels)

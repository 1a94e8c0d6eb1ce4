"""Sampling of the CogVideoX family, in the order in which a clip is made: encode_prompt, prepare, denoise, decode.

Plain functions over the family's own diffusers networks. Latents are [B, T, C, h, w] as the transformer takes them, in
float32 between steps; `vae.config.scaling_factor` brings them to unit variance (CogVideoX, arXiv:2408.06072). What
differs between 2B, 5B, 1.5-5B and their image variants stands in the checkpoint's own configurations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXTransformer3DModel,
)
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from transformers import T5EncoderModel

from videoworker.engine import latent_space
from videoworker.engine.cogvideox_attention import DispatchedAttention
from videoworker.engine.cogvideox_decoder import slim
from videoworker.engine.parts import Parts
from videoworker.engine.pixels import to_frames
from videoworker.errors import Code, JobError
from videoworker.models.plan import Sampling
from videoworker.watch import Watch

DESCRIBES_IMAGE = False

# The samplers that CogVideoX's checkpoints name in scheduler/scheduler_config.json.
_SCHEDULERS = {"CogVideoXDDIMScheduler": CogVideoXDDIMScheduler, "CogVideoXDPMScheduler": CogVideoXDPMScheduler}

# What CogVideoX1.5-5B-I2V was trained to read as its `ofs`: CogVideo, sat/configs/cogvideox1.5_5b_i2v.yaml.
_OFS = 2.0


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device and in one dtype."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler: Any
    device: torch.device
    dtype: torch.dtype


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Reads a checkpoint in diffusers layout; safetensors only."""
    parts = Parts(folder, device, dtype)
    transformer = parts.network(CogVideoXTransformer3DModel, "transformer")
    transformer.set_attn_processor(DispatchedAttention())
    vae = parts.network(AutoencoderKLCogVideoX, "vae")
    slim(vae.decoder)
    return Networks(
        tokenizer=parts.tokenizer("tokenizer"),
        text_encoder=parts.encoder(T5EncoderModel, "text_encoder"),
        transformer=transformer,
        vae=vae,
        scheduler=_load_scheduler(folder / "scheduler"),
        device=device,
        dtype=dtype,
    )


def _load_scheduler(folder: Path) -> Any:
    """Raises `ValueError` for a sampler that is not one of the family's."""
    config = CogVideoXDDIMScheduler.load_config(folder, local_files_only=True)
    if config["_class_name"] not in _SCHEDULERS:
        raise ValueError(f"{config['_class_name']} is none of CogVideoX's schedulers: {', '.join(_SCHEDULERS)}")
    return _SCHEDULERS[config["_class_name"]].from_config(config)


@torch.inference_mode()
def encode_prompt(networks: Networks, prompts: list[str], image: np.ndarray | None) -> tuple[torch.Tensor, int]:
    """Text states [B, max_text_seq_length, dim], and how many tokens of the last prompt were cut off. Padding is
    encoded too and not masked: the family was trained so. The image is not described."""
    length = networks.transformer.config.max_text_seq_length
    ids = networks.tokenizer(
        prompts, padding="max_length", max_length=length, truncation=True, add_special_tokens=True, return_tensors="pt"
    ).input_ids
    whole = len(networks.tokenizer(prompts[-1]).input_ids)
    states = networks.text_encoder(ids.to(networks.device))[0].to(networks.dtype)
    return states, max(whole - length, 0)


@torch.inference_mode()
def encode_frames(networks: Networks, frames: np.ndarray) -> torch.Tensor:
    """Scaled latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 RGB frames [n, height, width, 3], uint8."""
    return latent_space.encode(networks.vae, frames, networks.device, networks.dtype)


def get_noise(networks: Networks, num_frames: int, width: int, height: int, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU so that a seed means the same on every device."""
    space = 2 ** (len(networks.vae.config.block_out_channels) - 1)
    time = (num_frames - 1) // networks.vae.config.temporal_compression_ratio + 1
    shape = (1, time, networks.vae.config.latent_channels, height // space, width // space)
    return torch.randn(shape, generator=generator).to(networks.device)


@torch.inference_mode()
def denoise(
    networks: Networks,
    noise: torch.Tensor,
    conditioning: torch.Tensor,
    given: torch.Tensor | None,
    sampling: Sampling,
    watch: Watch,
    part: tuple[int, int],
    generator: torch.Generator,
) -> torch.Tensor:
    """Latents [1, T, C, h, w] from noise. `conditioning` is [2, ...] (negative first) under classifier-free guidance,
    else [1, ...]; `given` are the first latents of the clip where it continues from known frames."""
    config = networks.transformer.config
    scheduler = type(networks.scheduler).from_config(networks.scheduler.config)
    scheduler.set_timesteps(sampling.steps)  # on the host: it looks levels up, and would wait for a GPU's answer
    timesteps = scheduler.timesteps.to(networks.device)
    padding = _padding(config.patch_size_t, noise, generator)
    latents = torch.cat([padding, noise], dim=1) * scheduler.init_noise_sigma
    beside = _image_latents(networks, latents, given)
    rotary = rotary_positions(config, latents.shape, networks.device)
    ofs = None if config.ofs_embed_dim is None else latents.new_full((1,), _OFS)
    batch, clean = len(conditioning), None
    for index, timestep in enumerate(timesteps):
        model_input = latents.to(networks.dtype)
        if beside is not None:
            model_input = torch.cat([model_input, beside], dim=2)
        predicted = networks.transformer(
            hidden_states=model_input.expand(batch, -1, -1, -1, -1),
            encoder_hidden_states=conditioning,
            timestep=timestep.expand(batch),
            ofs=ofs,
            image_rotary_emb=rotary,
            return_dict=False,
        )[0].float()
        if batch == 2:
            negative, positive = predicted.chunk(2)
            predicted = negative + sampling.guidance_scale * (positive - negative)
        latents, clean = _step(scheduler, index, predicted, clean, latents, generator)
        watch.step("denoise", index + 1, sampling.steps, part)
    if not torch.isfinite(latents).all():
        raise JobError(Code.GENERATION_FAILED, "The model gave numbers that are not finite.")
    made: torch.Tensor = latents[:, padding.shape[1] :]
    return made


def _step(
    scheduler: Any,
    index: int,
    predicted: torch.Tensor,
    clean: torch.Tensor | None,
    latents: torch.Tensor,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The latents after step `index`, and the clean latents that it foresees; `clean` are those of the step before.
    DPM is of second order in them, and adds noise."""
    timestep = scheduler.timesteps[index]
    if isinstance(scheduler, CogVideoXDPMScheduler):
        before = scheduler.timesteps[index - 1] if index else None
        after, foreseen = scheduler.step(predicted, clean, timestep, before, latents, generator=generator)
    else:
        after, foreseen = scheduler.step(predicted, timestep, latents, return_dict=False)
    return after, foreseen


def _padding(patch_size_t: int | None, noise: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise for the latents before the first that fill up a patch in time (CogVideoX1.5); they are dropped at the end.
    [1, n, C, h, w] with n = 0 where the clip needs none."""
    count = 0 if patch_size_t is None else -noise.shape[1] % patch_size_t
    shape = (1, count, *noise.shape[2:])
    return torch.randn(shape, generator=generator).to(noise.device)


def rotary_positions(
    config: Any, shape: torch.Size, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Cosines and sines [tokens, attention_head_dim] of the places of latents of `shape` [B, T, C, h, w]; None for a
    transformer that adds sinusoidal positions itself. CogVideoX-5B lays every size into the grid of the native size, so
    that a place keeps its angle in a larger picture; CogVideoX1.5 cuts it out of the native grid's corner."""
    if not config.use_rotary_positional_embeddings:
        return None
    patch = config.patch_size
    grid = shape[3] // patch, shape[4] // patch
    native_width, native_height = config.sample_width // patch, config.sample_height // patch
    if config.patch_size_t is None:
        places: dict[str, Any] = {
            "crops_coords": get_resize_crop_region_for_grid(grid, native_width, native_height),
            "temporal_size": shape[1],
        }
    else:
        places = {
            "crops_coords": None,
            "temporal_size": shape[1] // config.patch_size_t,
            "grid_type": "slice",
            "max_size": (native_height, native_width),
        }
    positions: tuple[torch.Tensor, torch.Tensor] = get_3d_rotary_pos_embed(
        config.attention_head_dim, grid_size=grid, device=device, **places
    )
    return positions


def _image_latents(networks: Networks, latents: torch.Tensor, given: torch.Tensor | None) -> torch.Tensor | None:
    """What the transformer sees beside the noise: the known first latents, zeros elsewhere; None for a text model.
    Where `invert_scale_latents` is set, the transformer was trained on pictures that were divided by the scaling factor
    and not multiplied (CogVideoX1.5-5B-I2V)."""
    if networks.transformer.config.in_channels == latents.shape[2]:
        return None
    beside = torch.zeros_like(latents)
    if given is not None:
        config = networks.vae.config
        beside[:, : given.shape[1]] = given / config.scaling_factor**2 if config.invert_scale_latents else given
    return beside.to(networks.dtype)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, watch: Watch, part: tuple[int, int], generator: torch.Generator
) -> Iterator[np.ndarray]:
    """RGB frames [height, width, 3], uint8, one by one: a few latents at a time, with the causal convolutions' cache
    carried on, exactly as the autoencoder's own whole decode does it."""
    vae = networks.vae
    encoded = (latents / vae.config.scaling_factor).to(networks.dtype).transpose(1, 2)  # [1, C, T, h, w]
    at_once, count = vae.num_latent_frames_batch_size, encoded.shape[2]
    first = at_once + count % at_once
    starts = [0, *range(first, count, at_once)]
    cache = None
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        pixels, cache = vae.decoder(encoded[:, :, start:end], conv_cache=cache)
        frames = to_frames(pixels)
        watch.step("decode", end, count, part)
        yield from frames

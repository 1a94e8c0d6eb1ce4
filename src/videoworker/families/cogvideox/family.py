"""CogVideoX, in the order in which a clip is made: load, encode_prompts, get_noise, encode_frames, start, decode.

Latents are [B, T, C, h, w], as the transformer takes them. `vae.config.scaling_factor` brings them to unit variance
(CogVideoX, arXiv:2408.06072). What differs between 2B, 5B, 1.5-5B and their image variants stands in the checkpoint's
own configurations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

from videoworker.canvas import Frames, Picture
from videoworker.families.cogvideox.attention import DispatchedAttention
from videoworker.families.cogvideox.decoder import slim
from videoworker.families.cogvideox.schedule import DiffusionSchedule
from videoworker.models.piece import LEAST, Piece
from videoworker.sampling import latent_space
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.end_mark import without_end_mark
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch

# The samplers named in scheduler/scheduler_config.json of CogVideoX's checkpoints.
_SCHEDULERS = {"CogVideoXDDIMScheduler": CogVideoXDDIMScheduler, "CogVideoXDPMScheduler": CogVideoXDPMScheduler}

# The value of `ofs` that CogVideoX1.5-5B-I2V was trained with: CogVideo, sat/configs/cogvideox1.5_5b_i2v.yaml.
_OFS = 2.0


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device. `dtype` is the transformer's."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler: Any
    device: torch.device
    dtype: torch.dtype


def load(reader: Reader) -> Networks:
    """Reads a checkpoint."""
    transformer = reader.network(CogVideoXTransformer3DModel, "transformer")
    transformer.set_attn_processor(DispatchedAttention())
    vae = reader.network(AutoencoderKLCogVideoX, "vae")
    slim(vae.decoder)
    return Networks(
        tokenizer=reader.tokenizer("tokenizer"),
        text_encoder=reader.encoder(T5EncoderModel, "text_encoder"),
        transformer=transformer,
        vae=vae,
        scheduler=_load_scheduler(reader.folder / "scheduler"),
        device=reader.device,
        dtype=reader.dtypes["transformer"],
    )


def _load_scheduler(folder: Path) -> Any:
    """Raises `ValueError` for a sampler that is not one of the family's."""
    config = CogVideoXDDIMScheduler.load_config(folder, local_files_only=True)
    if config["_class_name"] not in _SCHEDULERS:
        raise ValueError(f"{config['_class_name']} is none of CogVideoX's schedulers: {', '.join(_SCHEDULERS)}")
    return _SCHEDULERS[config["_class_name"]].from_config(config)


@torch.inference_mode()
def encode_prompts(
    networks: Networks, prompts: Sequence[str], image: Picture | None
) -> tuple[tuple[torch.Tensor, ...], int]:
    """Text states [1, max_text_seq_length, dim] of each prompt, and how many tokens of the last were cut off.

    Padding is encoded too and is not masked, because the family was trained so. The image is not described.
    """
    length = networks.transformer.config.max_text_seq_length
    texts = [without_end_mark(networks.tokenizer, prompt) for prompt in prompts]
    ids = networks.tokenizer(
        texts,
        padding="max_length",
        max_length=length,
        truncation=True,
        add_special_tokens=True,
        return_tensors="pt",
    ).input_ids
    whole = len(networks.tokenizer(texts[-1]).input_ids)
    states = networks.text_encoder(ids.to(networks.device))[0].to(networks.dtype)
    return states.split(1), max(whole - length, 0)


@torch.inference_mode()
def encode_frames(networks: Networks, frames: Frames) -> torch.Tensor:
    """Scaled latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 frames."""
    return latent_space.encode(networks.vae, frames, networks.device)


def get_noise(networks: Networks, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU so that a seed means the same on every device."""
    space = 2 ** (len(networks.vae.config.block_out_channels) - 1)
    time = (shape.num_frames - 1) // networks.vae.config.temporal_compression_ratio + 1
    drawn = (1, time, networks.vae.config.latent_channels, shape.height // space, shape.width // space)
    return torch.randn(drawn, generator=generator).to(networks.device)


@torch.inference_mode()
def start(networks: Networks, inputs: Inputs[torch.Tensor]) -> Start[torch.Tensor]:
    """Both prompts of a step run as one batch."""
    config, sampling = networks.transformer.config, inputs.sampling
    scheduler = type(networks.scheduler).from_config(networks.scheduler.config)
    scheduler.set_timesteps(sampling.steps)  # on the host: the scheduler looks levels up, and would wait for a GPU
    schedule = DiffusionSchedule(scheduler, scheduler.timesteps.to(networks.device), inputs.generator)
    padding = _padding(config.patch_size_t, inputs.noise, inputs.generator)
    noise = torch.cat([padding, inputs.noise], dim=1) * scheduler.init_noise_sigma
    beside = _image_latents(networks, noise, inputs.known)
    rotary = rotary_positions(config, noise.shape, networks.device)
    ofs = None if config.ofs_embed_dim is None else noise.new_full((1,), _OFS)

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        model_input = latents.to(networks.dtype)
        if beside is not None:
            model_input = torch.cat([model_input, beside], dim=2)
        predicted = networks.transformer(
            hidden_states=model_input.expand(len(prompts), -1, -1, -1, -1),
            encoder_hidden_states=torch.cat(list(prompts)),
            timestep=schedule.timesteps[index].expand(len(prompts)),
            ofs=ofs,
            image_rotary_emb=rotary,
            return_dict=False,
        )[0].float()
        return list(predicted.split(1))

    return Start(
        noise,
        schedule,
        inputs.prompts,
        Guidance.constant(sampling.guidance_scale, sampling.steps),
        predict,
        finish=lambda latents: latents[:, padding.shape[1] :],
    )


def _padding(patch_size_t: int | None, noise: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, n, C, h, w] for latents that come before the first one and fill up a patch in time (CogVideoX1.5).

    They are dropped at the end. n is 0 if the clip needs none.
    """
    count = 0 if patch_size_t is None else -noise.shape[1] % patch_size_t
    shape = (1, count, *noise.shape[2:])
    return torch.randn(shape, generator=generator).to(noise.device)


def rotary_positions(
    config: Any, shape: torch.Size, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Cosines and sines [tokens, attention_head_dim] of the places of latents of `shape` [B, T, C, h, w]; None if the
    transformer adds sinusoidal positions itself.

    CogVideoX-5B lays every size into the grid of the native size, so that a place keeps its angle in a larger picture.
    CogVideoX1.5 cuts every size out of the corner of the native grid.
    """
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


def _image_latents(networks: Networks, latents: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor | None:
    """The transformer's input beside the noise: the known first latents, then zeros; None for a text model.

    If `invert_scale_latents` is set, the transformer was trained on pictures that were divided by the scaling factor,
    not multiplied by it (CogVideoX1.5-5B-I2V).
    """
    if networks.transformer.config.in_channels == latents.shape[2]:
        return None
    beside = torch.zeros_like(latents)
    if known is not None:
        config = networks.vae.config
        beside[:, : known.shape[1]] = known / config.scaling_factor**2 if config.invert_scale_latents else known
    return beside.to(networks.dtype)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch, piece: Piece = LEAST
) -> Iterator[torch.Tensor]:
    """Decodes a few latents at a time and carries the causal convolutions' cache on, exactly as the autoencoder's own
    whole decode does. Nothing is drawn from `generator`."""
    vae = networks.vae
    encoded = (latents / vae.config.scaling_factor).to(vae.dtype).transpose(1, 2)  # [1, C, T, h, w]
    at_once, count = vae.num_latent_frames_batch_size, encoded.shape[2]
    first = at_once + count % at_once
    starts = [0, *range(first, count, at_once)]
    cache = None
    for begin, end in zip(starts, [*starts[1:], count], strict=True):
        pixels, cache = vae.decoder(encoded[:, :, begin:end], conv_cache=cache)
        watch.step("decode", end, count)
        yield pixels

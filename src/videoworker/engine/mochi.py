"""Sampling of Mochi 1, in the order in which a clip is made: encode_prompt, prepare, denoise, decode.

Plain functions over the family's own diffusers networks; text only. Latents are [1, T, C, h, w] for the engine and
[1, C, T, h, w] within, in float32 between steps, of mean 0 and deviation 1 by the autoencoder's own statistics.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiTransformer3DModel
from transformers import T5EncoderModel

from videoworker.engine import flow_matching, latent_space
from videoworker.engine.mochi_attention import TrimmedAttention
from videoworker.engine.mochi_decoder import slim
from videoworker.engine.parts import Parts
from videoworker.engine.pixels import to_frames
from videoworker.models.plan import Sampling
from videoworker.watch import Watch

DESCRIBES_IMAGE = False

# Noise falls linearly to this much less in the first half of the steps, then quadratically: genmo/mochi,
# src/genmo/mochi_preview/pipelines.py, `linear_quadratic_schedule`.
_THRESHOLD_NOISE = 0.025


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device and in one dtype."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler_config: Any
    empty_prompt_is_nothing: bool
    device: torch.device
    dtype: torch.dtype


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Reads a checkpoint in diffusers layout; safetensors only."""
    parts = Parts(folder, device, dtype)
    transformer = parts.network(MochiTransformer3DModel, "transformer")
    for block in transformer.transformer_blocks:
        block.attn1.processor = TrimmedAttention()
    vae = parts.network(AutoencoderKLMochi, "vae")
    slim(vae.decoder)
    index = json.loads((folder / "model_index.json").read_text())
    return Networks(
        tokenizer=parts.tokenizer("tokenizer"),
        text_encoder=parts.encoder(T5EncoderModel, "text_encoder"),
        transformer=transformer,
        vae=vae,
        scheduler_config=parts.scheduler_config(),
        empty_prompt_is_nothing=index.get("force_zeros_for_empty_prompt", False),
        device=device,
        dtype=dtype,
    )


@torch.inference_mode()
def encode_prompt(networks: Networks, prompts: list[str], image: np.ndarray | None) -> tuple[list[torch.Tensor], int]:
    """The states [1, tokens, dim] of each prompt's own tokens, and how many tokens of the last did not fit. Padding is
    never made: the text encoder and the transformer were trained to look past it. The image is not described."""
    length = networks.transformer.config.max_sequence_length
    states, whole = [], 0
    for prompt in prompts:
        ids = networks.tokenizer(prompt).input_ids
        whole = len(ids)
        if networks.empty_prompt_is_nothing and not prompt:
            width = networks.transformer.config.text_embed_dim
            states.append(torch.zeros(1, 0, width, dtype=networks.dtype, device=networks.device))
            continue
        if whole > length:  # the end mark stays
            ids = [*ids[: length - 1], ids[-1]]
        encoded = networks.text_encoder(torch.tensor([ids], device=networks.device))[0]
        states.append(encoded.to(networks.dtype))
    return states, max(whole - length, 0)


def get_noise(networks: Networks, num_frames: int, width: int, height: int, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    return latent_space.noise(networks.vae, num_frames, width, height, generator, networks.device)


def encode_frames(networks: Networks, frames: np.ndarray) -> torch.Tensor:
    """Nothing here continues from frames: Mochi's declaration takes no image."""
    raise NotImplementedError("Mochi makes video from text only")


def sigmas(steps: int) -> list[float]:
    """The noise levels that Mochi was trained to step along, from 1, without the 0 at the end; they have no shift."""
    linear = steps // 2
    if linear == 0:
        return [1.0]
    slope = _THRESHOLD_NOISE / linear
    rest = steps - linear
    # What is left beyond the line is spread over the second half by a parabola that leaves the line smoothly.
    bend = (1 - slope * steps) / rest**2
    return [1 - slope * step - bend * max(step - linear, 0) ** 2 for step in range(steps)]


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
    guidance; each runs by itself, since they have not the same number of tokens."""
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(networks.scheduler_config)
    scheduler.set_timesteps(sigmas=np.array(sigmas(sampling.steps)), device=networks.device)
    masks = [torch.ones(states.shape[:2], dtype=torch.bool, device=networks.device) for states in conditioning]

    def predict(latents: torch.Tensor, timestep: torch.Tensor, _: int) -> torch.Tensor:
        predicted = [
            networks.transformer(
                hidden_states=latents.to(networks.dtype),
                encoder_hidden_states=states,
                timestep=timestep.expand(1),
                encoder_attention_mask=mask,
                return_dict=False,
            )[0].float()
            for states, mask in zip(conditioning, masks, strict=True)
        ]
        return flow_matching.guided(predicted, sampling.guidance_scale)

    return flow_matching.denoise(noise.transpose(1, 2), scheduler, predict, watch, part).transpose(1, 2)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, watch: Watch, part: tuple[int, int], generator: torch.Generator
) -> Iterator[np.ndarray]:
    """RGB frames [height, width, 3], uint8, one by one: one latent at a time becomes six frames, of the first the last
    alone. The decoder is causal, and its convolutions carry the frames that they still need."""
    vae, count = networks.vae, latents.shape[1]
    mean, deviation = (
        torch.tensor(values, device=networks.device).view(1, 1, -1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    encoded = latents * deviation / vae.config.scaling_factor + mean
    encoded = encoded.to(networks.dtype).transpose(1, 2)  # [1, C, T, h, w]
    carried = None
    for index in range(count):
        pixels, carried = vae.decoder(encoded[:, :, index : index + 1], conv_cache=carried)
        frames = to_frames(pixels if index else pixels[:, :, vae.temporal_compression_ratio - 1 :])
        watch.step("decode", index + 1, count, part)
        yield from frames

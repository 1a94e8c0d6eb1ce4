"""Mochi 1, in the order in which a clip is made: load, encode_prompts, get_noise, start, decode. Text only.

Latents are [1, T, C, h, w] for the engine and [1, C, T, h, w] within. The autoencoder's own statistics bring them to
mean 0 and deviation 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiTransformer3DModel
from transformers import T5EncoderModel

from videoworker.canvas import Picture
from videoworker.families.mochi.attention import TrimmedAttention
from videoworker.families.mochi.decoder import slim
from videoworker.models.piece import LEAST, Piece
from videoworker.sampling import latent_space
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.end_mark import without_end_mark
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.latent_space import Shape, time_first
from videoworker.sampling.reader import Reader
from videoworker.sampling.schedule import FlowSchedule
from videoworker.watch import Watch

# Noise falls linearly to this much less in the first half of the steps, then quadratically: genmo/mochi,
# src/genmo/mochi_preview/pipelines.py, `linear_quadratic_schedule`.
_THRESHOLD_NOISE = 0.025


class _Transformer(MochiTransformer3DModel):  # type: ignore[misc]  # diffusers has no types
    """Its learned frequencies stay in float32, as its authors' code wants them. diffusers casts them too."""

    _keep_in_fp32_modules: ClassVar[list[str]] = ["pos_frequencies"]


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
    """Reads a checkpoint."""
    transformer = reader.network(_Transformer, "transformer")
    for block in transformer.transformer_blocks:
        block.attn1.processor = TrimmedAttention()
    vae = reader.network(AutoencoderKLMochi, "vae")
    slim(vae.decoder)
    return Networks(
        tokenizer=reader.tokenizer("tokenizer"),
        text_encoder=reader.encoder(T5EncoderModel, "text_encoder"),
        transformer=transformer,
        vae=vae,
        scheduler_config=reader.scheduler_config(),
        device=reader.device,
        dtype=reader.dtypes["transformer"],
    )


@torch.inference_mode()
def encode_prompts(
    networks: Networks, prompts: Sequence[str], image: Picture | None
) -> tuple[tuple[torch.Tensor, ...], int]:
    """The states [1, tokens, dim] of each prompt's own tokens, and how many tokens of the last did not fit.

    There is no padding: the text encoder and the transformer were trained to ignore it. An empty prompt has no tokens,
    not even the end mark: genmo/mochi, src/genmo/mochi_preview/pipelines.py, `get_conditioning_for_prompts`. diffusers
    does so only with an option that the published checkpoint does not set. The image is not described.
    """
    length = networks.transformer.config.max_sequence_length
    states, whole = list[torch.Tensor](), 0
    for prompt in prompts:
        if not prompt:
            width, whole = networks.transformer.config.text_embed_dim, 0
            states.append(torch.zeros(1, 0, width, dtype=networks.dtype, device=networks.device))
            continue
        ids = networks.tokenizer(without_end_mark(networks.tokenizer, prompt)).input_ids
        whole = len(ids)
        if whole > length:  # the end mark stays
            ids = [*ids[: length - 1], ids[-1]]
        encoded = networks.text_encoder(torch.tensor([ids], device=networks.device))[0]
        states.append(encoded.to(networks.dtype))
    return tuple(states), max(whole - length, 0)


def get_noise(networks: Networks, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    return latent_space.noise(networks.vae, shape, generator, networks.device)


def sigmas(steps: int) -> list[float]:
    """The noise levels that Mochi was trained on, from 1, without the 0 at the end. They have no shift."""
    linear = steps // 2
    if linear == 0:
        return [1.0]
    slope = _THRESHOLD_NOISE / linear
    rest = steps - linear
    # The rest is spread over the second half by a parabola, which leaves the line smoothly.
    bend = (1 - slope * steps) / rest**2
    return [1 - slope * step - bend * max(step - linear, 0) ** 2 for step in range(steps)]


def _schedule(networks: Networks, steps: int) -> FlowSchedule:
    """Mochi's timesteps say how clean the latents are, not how noisy. So they rise."""
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(networks.scheduler_config)
    scheduler.set_timesteps(sigmas=np.array(sigmas(steps)))
    levels = 1 - scheduler.sigmas if scheduler.config.invert_sigmas else scheduler.sigmas
    return FlowSchedule(levels, scheduler.timesteps.to(networks.device))


@torch.inference_mode()
def start(networks: Networks, inputs: Inputs[torch.Tensor]) -> Start[torch.Tensor]:
    """Each prompt runs by itself, because their numbers of tokens differ."""
    steps = inputs.sampling.steps
    schedule = _schedule(networks, steps)
    towards_noise = -1 if networks.scheduler_config["invert_sigmas"] else 1  # it predicts clean - noise

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [
            towards_noise
            * networks.transformer(
                hidden_states=latents.to(networks.dtype),
                encoder_hidden_states=states,
                timestep=schedule.timesteps[index].expand(1),
                encoder_attention_mask=torch.ones(states.shape[:2], dtype=torch.bool, device=networks.device),
                return_dict=False,
            )[0].float()
            for states in prompts
        ]

    return Start(
        inputs.noise.transpose(1, 2),
        schedule,
        inputs.prompts,
        Guidance.constant(inputs.sampling.guidance_scale, steps),
        predict,
        finish=time_first,
    )


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch, piece: Piece = LEAST
) -> Iterator[torch.Tensor]:
    """Decodes as many latents at a time as a piece has, each into six frames. Of the first latent only the last frame
    is kept.

    The decoder is causal. Its convolutions carry the frames that they still need. Nothing is drawn from `generator`.
    """
    vae, count = networks.vae, latents.shape[1]
    mean, deviation = (
        torch.tensor(values, device=networks.device).view(1, 1, -1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    encoded = latents * deviation / vae.config.scaling_factor + mean
    encoded = encoded.to(vae.dtype).transpose(1, 2)  # [1, C, T, h, w]
    carried = None
    for begin in range(0, count, piece.latents):
        end = min(begin + piece.latents, count)
        pixels, carried = vae.decoder(encoded[:, :, begin:end], conv_cache=carried)
        watch.step("decode", end, count)
        yield pixels if begin else pixels[:, :, vae.temporal_compression_ratio - 1 :]

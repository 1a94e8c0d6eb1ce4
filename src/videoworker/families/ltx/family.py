"""LTX-Video, in the order in which a clip is made: load, encode_prompts, get_noise, encode_frames, start, decode.

The same weights make video from text and from first frames. First frames stand among the latents as clean ones: their
timestep is 0. Latents are [1, T, C, h, w], of mean 0 and deviation 1 by the autoencoder's own statistics (LTX-Video,
arXiv:2501.00103).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel
from transformers import T5EncoderModel

from videoworker.canvas import Frames, Picture
from videoworker.families.ltx import decoder
from videoworker.models.piece import LEAST, Piece
from videoworker.sampling import latent_space
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.end_mark import without_end_mark
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.pixels import from_frames
from videoworker.sampling.reader import Reader
from videoworker.sampling.schedule import FlowSchedule
from videoworker.watch import Watch

_MAX_TEXT_TOKENS = 128
_FPS = 25  # of the videos that it was trained on: the default

# For decoders that are conditioned on a timestep: the timestep that they get, and how much noise the latents get
# (Lightricks/LTX-Video, configs: `decode_timestep`, `decode_noise_scale`).
_DECODE_TIMESTEP, _DECODE_NOISE = 0.05, 0.025


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
    return Networks(
        tokenizer=reader.tokenizer("tokenizer"),
        text_encoder=reader.encoder(T5EncoderModel, "text_encoder"),
        transformer=reader.network(LTXVideoTransformer3DModel, "transformer"),
        vae=reader.network(AutoencoderKLLTXVideo, "vae"),
        scheduler_config=reader.scheduler_config(),
        device=reader.device,
        dtype=reader.dtypes["transformer"],
    )


@torch.inference_mode()
def encode_prompts(
    networks: Networks, prompts: Sequence[str], image: Picture | None
) -> tuple[tuple[torch.Tensor, ...], int]:
    """The states [1, tokens, dim] of each prompt's own tokens, and how many tokens of the last did not fit.

    The text encoder reads padding too, because the family was trained so. The transformer never attends to it, so it is
    cut off here and needs no mask. The image is not described.
    """
    states, whole = list[torch.Tensor](), 0
    for prompt in prompts:
        text = without_end_mark(networks.tokenizer, prompt)
        padded = networks.tokenizer(
            text, padding="max_length", max_length=_MAX_TEXT_TOKENS, truncation=True, return_tensors="pt"
        )
        encoded = networks.text_encoder(padded.input_ids.to(networks.device))[0].to(networks.dtype)
        states.append(encoded[:, : int(padded.attention_mask.sum())])
        whole = len(networks.tokenizer(text).input_ids)
    return tuple(states), max(whole - _MAX_TEXT_TOKENS, 0)


@torch.inference_mode()
def encode_frames(networks: Networks, frames: Frames) -> torch.Tensor:
    """Latents [1, (n - 1) / 8 + 1, C, h, w] of n = 8k + 1 frames."""
    vae = networks.vae
    encoded = vae.encode(from_frames(frames, networks.device, vae.dtype)).latent_dist.mode()
    mean, deviation = _statistics(vae)
    normal: torch.Tensor = (encoded.float().transpose(1, 2) - mean) / deviation
    return normal


def _statistics(vae: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean and the deviation of the autoencoder's latents by channel, [1, 1, C, 1, 1]."""
    mean, deviation = (
        values.float().view(1, 1, -1, 1, 1)
        for values in (vae.latents_mean, vae.latents_std / vae.config.scaling_factor)
    )
    return mean, deviation


def get_noise(networks: Networks, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    return latent_space.noise(networks.vae, shape, generator, networks.device)


@torch.inference_mode()
def start(networks: Networks, inputs: Inputs[torch.Tensor]) -> Start[torch.Tensor]:
    """Each prompt runs by itself, because their numbers of tokens differ. The known latents stay as they are. The loop
    has only those after them."""
    vae, sampling, (_, time, _, height, width) = networks.vae, inputs.sampling, inputs.noise.shape
    known = inputs.noise[:, :0] if inputs.known is None else inputs.known
    schedule = _schedule(networks, sampling.steps, time * height * width)
    scale = vae.temporal_compression_ratio / (sampling.fps or _FPS), *[vae.spatial_compression_ratio] * 2
    # Known tokens are at timestep 0. Without any, one timestep for all is enough.
    is_noise = torch.ones(time, height * width, device=networks.device)
    is_noise[: known.shape[1]] = 0
    moving = is_noise.flatten() if known.shape[1] else is_noise[0, :1]

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        tokens = torch.cat([known, latents], dim=1).permute(0, 1, 3, 4, 2).flatten(1, 3)  # [1, T * h * w, C]
        predicted = [
            networks.transformer(
                hidden_states=tokens.to(networks.dtype),
                encoder_hidden_states=states,
                timestep=(schedule.timesteps[index] * moving)[None],
                encoder_attention_mask=None,
                num_frames=time,
                height=height,
                width=width,
                rope_interpolation_scale=scale,
                return_dict=False,
            )[0].float()
            for states in prompts
        ]
        placed = (one.reshape(1, time, height, width, -1).permute(0, 1, 4, 2, 3) for one in predicted)
        return [one[:, known.shape[1] :] for one in placed]

    return Start(
        inputs.noise[:, known.shape[1] :],
        schedule,
        inputs.prompts,
        Guidance.constant(sampling.guidance_scale, sampling.steps),
        predict,
        finish=lambda latents: torch.cat([known, latents], dim=1),
    )


def _schedule(networks: Networks, steps: int, tokens: int) -> FlowSchedule:
    """Longer clips and larger pictures take more of their steps at high noise.

    The shift's logarithm is linear in the number of tokens. The checkpoint's scheduler configuration has two points of
    the line. The stretch at the end keeps the first level and moves the last, so one step alone has none.
    """
    stretch = {"shift_terminal": None} if steps == 1 else {}
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(networks.scheduler_config, **stretch)
    config = scheduler.config
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    shift = config.base_shift + slope * (tokens - config.base_image_seq_len)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=shift)
    return FlowSchedule(scheduler.sigmas, scheduler.timesteps.to(networks.device))


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch, piece: Piece = LEAST
) -> Iterator[torch.Tensor]:
    """Decodes as many latents at a time as a piece has. A decoder that is conditioned on a timestep removes the last
    noise itself. So some noise is added to its latents first, drawn from `generator`."""
    vae, count = networks.vae, latents.shape[1]
    mean, deviation = _statistics(vae)
    encoded = (latents * deviation + mean).transpose(1, 2)  # [1, C, T, h, w]
    if vae.config.timestep_conditioning:
        noise = torch.randn(encoded.shape, generator=generator).to(networks.device)
        encoded = (1 - _DECODE_NOISE) * encoded + _DECODE_NOISE * noise
    encoded = encoded.to(vae.dtype)

    watch.check()
    made = 0
    for pixels in decoder.decode(vae.decoder, encoded.split(piece.latents, dim=2), _DECODE_TIMESTEP, generator):
        made += pixels.shape[2]
        watch.step("decode", (made - 1) // vae.temporal_compression_ratio + 1, count)
        yield pixels

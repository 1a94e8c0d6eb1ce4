"""Open-Sora 2, in the order in which a clip is made: load, encode_prompts, get_noise, encode_frames, start, decode.

The transformer is FLUX's over a clip's tokens. The condition stands beside every token: the latents of the first frame
and which latents they are, zeros if there is none (Open-Sora 2.0, arXiv:2503.09642). Text is read by T5 as tokens, and
by CLIP as a whole. The autoencoder is HunyuanVideo's.

Latents are [1, T, C, h, w] for the engine and in the loop. `vae.config.scaling_factor` brings them to unit variance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLHunyuanVideo, FluxTransformer2DModel
from transformers import CLIPTextModel, T5EncoderModel

from videoworker.canvas import Frames, Picture
from videoworker.families.open_sora.guidance import ImageGuidance, image_scales, oscillating
from videoworker.families.open_sora.published import as_flux
from videoworker.models.piece import LEAST, Piece
from videoworker.sampling import latent_space
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.end_mark import without_end_mark
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.reader import Reader
from videoworker.sampling.schedule import FlowSchedule
from videoworker.sampling.whole_decoder import decode_tiled
from videoworker.watch import Watch

TRANSFORMER: dict[str, Any] = {"in_channels": 132, "out_channels": 64}  # else FLUX's

_TEXT_TOKENS = 512  # the transformer sees the empty ones too
_CLIP_TOKENS = 77
_SUFFIX = " 24 FPS. 4 motion score."  # the prompts that it was trained on say so; of 1 to 15, 4 is its own default
_PATCH = 2
_FRAMES_AT_ONCE = 8  # of those that are converted to pictures


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device. `dtype` is the transformer's."""

    tokenizer: Any
    tokenizer_2: Any
    text_encoder: Any
    text_encoder_2: Any
    transformer: Any
    vae: Any
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Conditioning:
    """One prompt: T5's `states` [1, 512, dim] and CLIP's `pooled` [1, dim]."""

    states: torch.Tensor
    pooled: torch.Tensor


@dataclass(frozen=True)
class _Pass:
    """One way in which a step asks the transformer: for a prompt, with a condition [1, tokens, channels] beside."""

    prompt: Conditioning
    beside: torch.Tensor


def load(reader: Reader) -> Networks:
    """Reads a checkpoint as it is published."""
    vae = reader.file_network(AutoencoderKLHunyuanVideo, "vae", {})
    vae.enable_tiling()  # of pictures that are encoded
    return Networks(
        tokenizer=reader.tokenizer("text_encoder"),
        tokenizer_2=reader.tokenizer("text_encoder_2"),
        text_encoder=reader.encoder(T5EncoderModel, "text_encoder"),
        text_encoder_2=reader.encoder(CLIPTextModel, "text_encoder_2"),  # the file has its half for pictures too
        transformer=reader.file_network(FluxTransformer2DModel, "transformer", TRANSFORMER, as_flux),
        vae=vae,
        device=reader.device,
        dtype=reader.dtypes["transformer"],
    )


@torch.inference_mode()
def encode_prompts(
    networks: Networks, prompts: Sequence[str], image: Picture | None
) -> tuple[tuple[Conditioning, ...], int]:
    """The conditioning of each prompt, and how many of T5's tokens of the last did not fit. The last prompt is told the
    frame rate and the strength of motion. The image is not described."""
    *negative, prompt = prompts
    encoded, cut = list[Conditioning](), 0
    for text in (*negative, prompt + ("" if prompt.endswith(".") else ".") + _SUFFIX):
        alone = without_end_mark(networks.tokenizer, text)
        cut = max(len(networks.tokenizer(alone).input_ids) - _TEXT_TOKENS, 0)
        tokens = networks.tokenizer(
            alone, padding="max_length", max_length=_TEXT_TOKENS, truncation=True, return_tensors="pt"
        ).input_ids
        states = networks.text_encoder(tokens.to(networks.device)).last_hidden_state
        tokens = networks.tokenizer_2(text, max_length=_CLIP_TOKENS, truncation=True, return_tensors="pt").input_ids
        pooled = networks.text_encoder_2(tokens.to(networks.device)).pooler_output
        encoded.append(Conditioning(states.to(networks.dtype), pooled.to(networks.dtype)))
    return tuple(encoded), cut


def get_noise(networks: Networks, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    return latent_space.noise(networks.vae, shape, generator, networks.device)


@torch.inference_mode()
def encode_frames(networks: Networks, frames: Frames) -> torch.Tensor:
    """Scaled latents [1, 1, C, h, w] of one frame."""
    return latent_space.encode(networks.vae, frames, networks.device)


@torch.inference_mode()
def start(networks: Networks, inputs: Inputs[Conditioning]) -> Start[_Pass]:
    """All latents move, those of a first frame too; the engine puts the known ones in their place. Nothing is drawn
    from the generator."""
    noise, sampling = inputs.noise, inputs.sampling
    _, time, _, height, width = noise.shape
    grid = time, height // _PATCH, width // _PATCH
    schedule = _schedule(grid, sampling.steps, sampling.flow_shift, networks.device)
    positions = torch.cartesian_prod(*(torch.arange(count, device=networks.device) for count in grid))

    def predict(latents: torch.Tensor, index: int, passes: Sequence[_Pass]) -> list[torch.Tensor]:
        tokens = _packed(latents)
        predicted = [
            networks.transformer(
                hidden_states=torch.cat([tokens, one.beside], dim=-1).to(networks.dtype),
                encoder_hidden_states=one.prompt.states,
                pooled_projections=one.prompt.pooled,
                timestep=schedule.timesteps[index].expand(1),
                img_ids=positions,
                txt_ids=torch.zeros_like(positions[:1]).expand(one.prompt.states.shape[1], -1),
                return_dict=False,
            )[0]
            for one in passes
        ]
        return [_unpacked(one.float(), grid) for one in predicted]

    passes, guidance = _guided(inputs)
    return Start(noise, schedule, passes, guidance, predict)


def _guided(inputs: Inputs[Conditioning]) -> tuple[tuple[_Pass, ...], Guidance]:
    """The passes of a guided step, and how they are combined. Without a negative prompt there is one pass."""
    steps = inputs.sampling.steps
    scales = oscillating(inputs.sampling.guidance_scale, steps)
    alone = _beside(inputs.noise, None)
    if inputs.known is None or len(inputs.prompts) == 1:
        beside = alone if inputs.known is None else _beside(inputs.noise, inputs.known)
        return tuple(_Pass(prompt, beside) for prompt in inputs.prompts), Guidance(scales)
    negative, prompt = inputs.prompts
    beside = _beside(inputs.noise, inputs.known)
    passes = _Pass(negative, alone), _Pass(negative, beside), _Pass(prompt, beside)
    by_frame = [scale.view(1, -1, 1, 1, 1) for scale in image_scales(steps, inputs.noise.shape[1])]
    return passes, ImageGuidance(scales, image_scales=tuple(scale.to(inputs.noise.device) for scale in by_frame))


def _beside(noise: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
    """The condition: which latents are known, and these."""
    latents, is_known = torch.zeros_like(noise), torch.zeros_like(noise[:, :, :1])
    if known is not None:
        latents[:, : known.shape[1]], is_known[:, : known.shape[1]] = known, 1
    return _packed(torch.cat([is_known, latents], dim=2))


def _schedule(grid: tuple[int, int, int], steps: int, flow_shift: float | None, device: torch.device) -> FlowSchedule:
    """Levels of noise that fall evenly from 1, shifted by so much more as there are more tokens in a frame, and more
    frames. `flow_shift` takes the place of that; None: it holds."""
    time, height, width = grid
    by_size = (1 + 2 * (height * width - 256) / 3840) * time**0.5
    shift = by_size if flow_shift is None else flow_shift
    even = torch.linspace(1, 0, steps + 1)
    sigmas = shift * even / (1 + (shift - 1) * even)
    return FlowSchedule(sigmas, sigmas[:-1].to(device))


def _packed(latents: torch.Tensor) -> torch.Tensor:
    """Tokens [1, T * h/2 * w/2, C * 4] of latents [1, T, C, h, w]: of each channel two rows of two."""
    patches: torch.Tensor = latents.unflatten(4, (-1, _PATCH)).unflatten(3, (-1, _PATCH))  # [1, T, C, h/2, 2, w/2, 2]
    return patches.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(1, 3)


def _unpacked(tokens: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
    """What `_packed` packed."""
    patches: torch.Tensor = tokens.unflatten(1, grid).unflatten(4, (-1, _PATCH, _PATCH))  # [1, T, h/2, w/2, C, 2, 2]
    return patches.permute(0, 1, 4, 2, 5, 3, 6).flatten(5).flatten(3, 4)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch, piece: Piece = LEAST
) -> Iterator[torch.Tensor]:
    """All frames of a tile at once, tile by tile, and then some frames at a time: so its authors decode, whatever there
    is room for. Nothing is drawn from `generator`."""
    vae = networks.vae
    encoded = (latents.transpose(1, 2) / vae.config.scaling_factor).to(vae.dtype)
    pixels = decode_tiled(vae, encoded, lambda done, count: watch.step("decode", done, count))
    yield from pixels.split(_FRAMES_AT_ONCE, dim=2)

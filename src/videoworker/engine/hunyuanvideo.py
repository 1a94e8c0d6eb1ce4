"""Sampling of HunyuanVideo, in the order in which a clip is made: encode_prompt, prepare, denoise, decode.

The text model, and both image models: `token_replace`, whose first latents are the picture's throughout, and
`latent_concat` (33 channels), which sees the picture beside the noise and whose first four frames nobody keeps
(HunyuanVideo, arXiv:2412.03603; HunyuanVideo-I2V's README). Latents are [1, T, C, h, w] for the engine and
[1, C, T, h, w] within; `vae.config.scaling_factor` brings them to unit variance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLHunyuanVideo, HunyuanVideoTransformer3DModel
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE as _TEXT_TEMPLATE
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video_image2video import (
    DEFAULT_PROMPT_TEMPLATE as _IMAGE_TEMPLATE,
)
from PIL import Image
from transformers import CLIPTextModel, LlamaModel, LlavaForConditionalGeneration

from videoworker.engine import flow_matching, latent_space
from videoworker.engine.joint_attention import JointAttention
from videoworker.engine.parts import Parts
from videoworker.engine.pixels import to_frames
from videoworker.errors import Code, JobError
from videoworker.models.plan import Sampling
from videoworker.watch import Watch

DESCRIBES_IMAGE = True

_MAX_PROMPT_TOKENS = 256  # after the template, which is cut away
_LAYER = -3  # the text encoder's layer that is read: what the last two add is about the next word
_EMBEDDED_GUIDANCE = 6.0  # of the model cards
_ASSISTANT_TOKENS = 4  # <|eot_id|> and the assistant's header, which the image template puts behind the prompt
# One of how many tokens of the picture is kept, by the transformer's way of seeing it; a negative prompt keeps 2.
_IMAGE_TOKEN_STRIDE = {"token_replace": 4, "latent_concat": 2}
_NEGATIVE_IMAGE_TOKEN_STRIDE = 2
_NOISE_OVER_IMAGE = 0.999  # the image models start from noise that a thousandth of the picture shines through
_DROPPED_LATENTS = 1  # in front of `latent_concat`'s clips


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device and in one dtype. `image_processor` is None for the text model."""

    tokenizer: Any
    tokenizer_2: Any
    text_encoder: Any
    text_encoder_2: Any
    image_processor: Any
    transformer: Any
    vae: Any
    scheduler_config: Any
    device: torch.device
    dtype: torch.dtype

    @property
    def image_condition(self) -> str | None:
        """How the transformer sees a picture: `token_replace`, `latent_concat`, or None."""
        condition: str | None = self.transformer.config.image_condition_type
        return condition


@dataclass(frozen=True)
class Conditioning:
    """One prompt: `states` [1, tokens, dim] without padding, `mask` [1, tokens] of ones, `pooled` [1, dim]."""

    states: torch.Tensor
    mask: torch.Tensor
    pooled: torch.Tensor


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Reads a checkpoint in diffusers layout; safetensors only. Raises `JobError` MODEL_NOT_LOADED where the tokenizer
    does not read the template as the model was taught."""
    parts = Parts(folder, device, dtype)
    tokenizer = parts.tokenizer("tokenizer")
    config = HunyuanVideoTransformer3DModel.load_config(folder / "transformer", local_files_only=True)
    sees_image = config["image_condition_type"] is not None
    _check_tokenizer(tokenizer, _IMAGE_TEMPLATE if sees_image else _TEXT_TEMPLATE)
    transformer = parts.network(HunyuanVideoTransformer3DModel, "transformer")
    for block in [*transformer.transformer_blocks, *transformer.single_transformer_blocks]:
        block.attn.set_processor(JointAttention())
    vae = parts.network(AutoencoderKLHunyuanVideo, "vae")
    vae.enable_tiling()  # in space: 17 frames of 720p at once need 35 GiB, in tiles 3
    vae.use_framewise_decoding = False  # in time: `decode` does it, and hands out each tile as it is made
    encoder = LlavaForConditionalGeneration if sees_image else LlamaModel
    return Networks(
        tokenizer=tokenizer,
        tokenizer_2=parts.tokenizer("tokenizer_2"),
        text_encoder=parts.encoder(encoder, "text_encoder"),
        text_encoder_2=parts.encoder(CLIPTextModel, "text_encoder_2"),
        image_processor=parts.image_processor("image_processor") if sees_image else None,
        transformer=transformer,
        vae=vae,
        scheduler_config=parts.scheduler_config(),
        device=device,
        dtype=dtype,
    )


def _check_tokenizer(tokenizer: Any, template: dict[str, Any]) -> None:
    """The template is cut off by its number of tokens: a tokenizer that loads without error but drops spaces, as some
    classes do with this one's file, would cut into the prompt."""
    found, expected = len(tokenizer(template["template"].split("{}")[0]).input_ids), template["crop_start"]
    if found != expected:
        raise JobError(
            Code.MODEL_NOT_LOADED,
            f"HunyuanVideo's tokenizer reads its prompt template as {found} tokens, not as {expected}: its files and "
            f"the installed transformers do not fit together.",
        )


@torch.inference_mode()
def encode_prompt(networks: Networks, prompts: list[str], image: np.ndarray | None) -> tuple[list[Conditioning], int]:
    """What the transformer needs of each prompt, and how many tokens of the last did not fit. The image models read
    the text and `image` together, and beside a negative prompt a black picture."""
    encoded: list[Conditioning] = []
    cut = 0
    for prompt in prompts:
        if image is None:
            states, cut = _encode_text(networks, prompt)
        else:
            negative = len(encoded) + 1 < len(prompts)
            picture = np.zeros_like(image) if negative else image
            states, cut = _encode_text_and_image(networks, prompt, picture, negative)
        states = states.to(networks.dtype)
        mask = torch.ones(states.shape[:2], dtype=torch.int64, device=states.device)
        encoded.append(Conditioning(states, mask, _encode_pooled(networks, prompt)))
    return encoded, cut


def _encode_text(networks: Networks, prompt: str) -> tuple[torch.Tensor, int]:
    """The states of the prompt's tokens alone: the encoder is causal, so padding behind them would change nothing."""
    crop = _TEXT_TEMPLATE["crop_start"]
    tokens = networks.tokenizer(_TEXT_TEMPLATE["template"].format(prompt)).input_ids
    ids = torch.tensor([tokens[: crop + _MAX_PROMPT_TOKENS]], device=networks.device)
    states = networks.text_encoder(input_ids=ids, output_hidden_states=True).hidden_states[_LAYER]
    return states[:, crop:], max(len(tokens) - crop - _MAX_PROMPT_TOKENS, 0)


def _encode_text_and_image(
    networks: Networks, prompt: str, image: np.ndarray, negative: bool
) -> tuple[torch.Tensor, int]:
    """The states of some of the picture's tokens, then of the prompt's. The template's place for the picture becomes
    as many tokens as its encoder gives; the words of the assistant's header are cut out again."""
    template, encoder = _IMAGE_TEMPLATE, networks.text_encoder
    place, count, crop = template["image_emb_start"], template["image_emb_len"], template["crop_start"]
    tokens = networks.tokenizer(template["template"].format(prompt)).input_ids
    image_token = encoder.config.image_token_index
    kept = [token for token in tokens[place + 1 :] if token != image_token]  # the prompt may not name a second one
    cut = max(place + 1 + len(kept) - crop - _MAX_PROMPT_TOKENS, 0)
    text = [*tokens[:place], image_token, *kept[: crop + _MAX_PROMPT_TOKENS - place - 1]]
    header_end = networks.tokenizer.convert_tokens_to_ids("<|end_header_id|>")
    ends = [index for index, token in enumerate(text) if token == header_end]
    behind = ends[-1] + 1 if len(ends) > 2 else len(text)  # the header is gone where a long prompt pushed it out
    expanded = [*text[:place], *[image_token] * count, *text[place + 1 :]]
    ids = torch.tensor([expanded], device=networks.device)
    pixels = networks.image_processor(Image.fromarray(image), return_tensors="pt").pixel_values
    states = encoder(
        input_ids=ids, pixel_values=pixels.to(networks.device, networks.dtype), output_hidden_states=True
    ).hidden_states[_LAYER]
    stride = _NEGATIVE_IMAGE_TOKEN_STRIDE if negative else _IMAGE_TOKEN_STRIDE[str(networks.image_condition)]
    longer = count - 1  # by how much the picture's tokens moved those behind them
    parts = [
        states[:, place : place + count : stride],
        states[:, crop + longer : behind - _ASSISTANT_TOKENS + longer],
        states[:, behind + longer :],
    ]
    return torch.cat(parts, dim=1), cut


def _encode_pooled(networks: Networks, prompt: str) -> torch.Tensor:
    """CLIP's account of the whole prompt [1, dim]. It reads 77 tokens; what is behind them only the other one sees."""
    ids = networks.tokenizer_2(prompt, truncation=True, max_length=77, return_tensors="pt").input_ids
    pooled: torch.Tensor = networks.text_encoder_2(ids.to(networks.device)).pooler_output.to(networks.dtype)
    return pooled


@torch.inference_mode()
def encode_frames(networks: Networks, frames: np.ndarray) -> torch.Tensor:
    """Scaled latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 RGB frames [n, height, width, 3], uint8."""
    return latent_space.encode(networks.vae, frames, networks.device, networks.dtype)


def get_noise(networks: Networks, num_frames: int, width: int, height: int, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    if networks.image_condition == "latent_concat":
        num_frames += _DROPPED_LATENTS * networks.vae.temporal_compression_ratio
    return latent_space.noise(networks.vae, num_frames, width, height, generator, networks.device)


@torch.inference_mode()
def denoise(
    networks: Networks,
    noise: torch.Tensor,
    conditioning: list[Conditioning],
    given: torch.Tensor | None,
    sampling: Sampling,
    watch: Watch,
    part: tuple[int, int],
    generator: torch.Generator,
) -> torch.Tensor:
    """Latents [1, T, C, h, w] from noise. With two prompts (the negative first) classifier-free guidance of
    `guidance_scale`, beside the embedded guidance that distilled transformers take as an input. `given` are the
    latents of one picture [1, 1, C, h, w], for the image models. Nothing is drawn from `generator`."""
    transformer, dtype = networks.transformer, networks.dtype
    scheduler = flow_matching.make_scheduler(
        networks.scheduler_config, sampling.steps, sampling.flow_shift, networks.device
    )
    guidance = None
    if transformer.config.guidance_embeds:
        scale = sampling.embedded_guidance_scale
        scale = _EMBEDDED_GUIDANCE if scale is None else scale
        guidance = torch.tensor([scale], dtype=dtype, device=networks.device) * 1000

    def velocity(model_input: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        predicted: list[torch.Tensor] = [
            transformer(
                hidden_states=model_input.to(dtype),
                timestep=timestep.expand(1),
                encoder_hidden_states=prompt.states,
                encoder_attention_mask=prompt.mask,
                pooled_projections=prompt.pooled,
                guidance=guidance,
                return_dict=False,
            )[0].float()
            for prompt in conditioning
        ]
        return flow_matching.guided(predicted, sampling.guidance_scale)

    latents = noise.transpose(1, 2)
    if given is None:
        made = flow_matching.denoise(latents, scheduler, lambda x, t, _: velocity(x, t), watch, part)
        return made.transpose(1, 2)

    picture = given.transpose(1, 2)
    latents = latents * _NOISE_OVER_IMAGE + picture * (1 - _NOISE_OVER_IMAGE)
    if networks.image_condition == "token_replace":

        def predict(moving: torch.Tensor, timestep: torch.Tensor, _: int) -> torch.Tensor:
            return velocity(torch.cat([picture, moving], dim=2), timestep)[:, :, 1:]

        made = flow_matching.denoise(latents[:, :, 1:], scheduler, predict, watch, part)
        return torch.cat([picture, made], dim=2).transpose(1, 2)

    beside = torch.zeros_like(latents[:, :1]).repeat(1, latents.shape[1] + 1, 1, 1, 1)
    beside[:, :-1, :1], beside[:, -1, 0] = picture, 1  # and which latents it stands for
    made = flow_matching.denoise(
        latents, scheduler, lambda x, t, _: velocity(torch.cat([x, beside], dim=1), t), watch, part
    )
    return made.transpose(1, 2)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, watch: Watch, part: tuple[int, int], generator: torch.Generator
) -> Iterator[np.ndarray]:
    """RGB frames [height, width, 3], uint8, one by one, from tiles in time that fade into each other, as the
    autoencoder's own whole decode makes them: it is not causal, so that a tile sees 17 frames and keeps 12."""
    vae, count = networks.vae, latents.shape[1]
    encoded = (latents.transpose(1, 2) / vae.config.scaling_factor).to(networks.dtype)
    ratio, stride = vae.temporal_compression_ratio, vae.tile_sample_stride_num_frames
    seen = vae.tile_sample_min_num_frames // ratio + 1
    fade = vae.tile_sample_min_num_frames - stride
    drop = _DROPPED_LATENTS * ratio if networks.image_condition == "latent_concat" else 0
    before = None
    for start in range(0, max(count - 1, 1), stride // ratio):
        pixels = vae.decode(encoded[:, :, start : start + seen]).sample
        if before is not None:  # its first frame is the last one that the tile before keeps
            pixels = vae.blend_t(before, pixels[:, :, 1:], fade)
        frames = to_frames(pixels[:, :, drop : stride + (before is None)])
        before, drop = pixels, 0
        watch.step("decode", min(start + seen - 1, count), count, part)
        yield from frames

"""HunyuanVideo, in the order in which a clip is made: load, encode_prompts, get_noise, encode_frames, start, decode.

There are a text model and two image models (HunyuanVideo, arXiv:2412.03603; HunyuanVideo-I2V's README). In
`token_replace` the first latents are the picture's at every step. `latent_concat` (33 channels) has the picture as an
input beside the noise, and its first four frames are dropped.

Latents are [1, T, C, h, w] for the engine and [1, C, T, h, w] within. `vae.config.scaling_factor` brings them to unit
variance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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

from videoworker.canvas import Frames, Picture
from videoworker.errors import Code, JobError
from videoworker.models.piece import LEAST, Piece
from videoworker.sampling import latent_space
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.flow_matching import shifted_schedule
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.joint_attention import JointAttention
from videoworker.sampling.latent_space import Shape, time_first
from videoworker.sampling.reader import Reader
from videoworker.sampling.whole_decoder import decode_tiled, decode_whole, is_tiled
from videoworker.watch import Watch

_MAX_PROMPT_TOKENS = 256  # after the template, which is cut off
_LAYER = -3  # the layer of the text encoder that is read: the last two are about the next word
_EMBEDDED_GUIDANCE = 6.0  # of the model cards
_ASSISTANT_TOKENS = 4  # <|eot_id|> and the assistant's header: the image template has them behind the prompt
# Of so many tokens of the picture one is kept, by `image_condition`. Beside a negative prompt it is one of 2.
_IMAGE_TOKEN_STRIDE = {"token_replace": 4, "latent_concat": 2}
_NEGATIVE_IMAGE_TOKEN_STRIDE = 2
_NOISE_OVER_IMAGE = 0.999  # the image models start from noise with a thousandth of the picture in it
_DROPPED_LATENTS = 1  # in front of `latent_concat`'s clips


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device. `dtype` is the transformer's. `image_processor` is None for the text
    model."""

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
        """How the transformer takes a picture: by `token_replace`, by `latent_concat`, or not at all (None)."""
        condition: str | None = self.transformer.config.image_condition_type
        return condition


@dataclass(frozen=True)
class Conditioning:
    """One prompt: `states` [1, tokens, dim] without padding, `mask` [1, tokens] of ones, `pooled` [1, dim]."""

    states: torch.Tensor
    mask: torch.Tensor
    pooled: torch.Tensor


def load(reader: Reader) -> Networks:
    """Reads a checkpoint. Raises `JobError` MODEL_NOT_LOADED if the tokenizer does not read the template as the model
    was taught."""
    tokenizer = reader.tokenizer("tokenizer")
    config = HunyuanVideoTransformer3DModel.load_config(reader.folder / "transformer", local_files_only=True)
    sees_image = config["image_condition_type"] is not None
    _check_tokenizer(tokenizer, _IMAGE_TEMPLATE if sees_image else _TEXT_TEMPLATE)
    transformer = reader.network(HunyuanVideoTransformer3DModel, "transformer")
    for block in [*transformer.transformer_blocks, *transformer.single_transformer_blocks]:
        block.attn.set_processor(JointAttention())
    vae = reader.network(AutoencoderKLHunyuanVideo, "vae")
    vae.enable_tiling()  # of pictures that are encoded
    encoder = LlavaForConditionalGeneration if sees_image else LlamaModel
    return Networks(
        tokenizer=tokenizer,
        tokenizer_2=reader.tokenizer("tokenizer_2"),
        text_encoder=reader.encoder(encoder, "text_encoder"),
        text_encoder_2=reader.encoder(CLIPTextModel, "text_encoder_2"),
        image_processor=reader.image_processor("image_processor") if sees_image else None,
        transformer=transformer,
        vae=vae,
        scheduler_config=reader.scheduler_config(),
        device=reader.device,
        dtype=reader.dtypes["transformer"],
    )


def _check_tokenizer(tokenizer: Any, template: dict[str, Any]) -> None:
    """Raises `JobError` if the tokenizer does not read the template as the model was taught.

    The template is cut off by its number of tokens. Some tokenizer classes load this file without error, but drop
    spaces. With them the cut would go into the prompt.
    """
    found, expected = len(tokenizer(template["template"].split("{}")[0]).input_ids), template["crop_start"]
    if found != expected:
        raise JobError(
            Code.MODEL_NOT_LOADED,
            f"HunyuanVideo's tokenizer reads its prompt template as {found} tokens, not as {expected}: its files and "
            f"the installed transformers do not fit together.",
        )


@torch.inference_mode()
def encode_prompts(
    networks: Networks, prompts: Sequence[str], image: Picture | None
) -> tuple[tuple[Conditioning, ...], int]:
    """The conditioning of each prompt, and how many tokens of the last did not fit.

    The image models read the text and `image` together. Beside a negative prompt they read a black picture.
    """
    encoded, cut = list[Conditioning](), 0
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
    return tuple(encoded), cut


def _encode_text(networks: Networks, prompt: str) -> tuple[torch.Tensor, int]:
    """The states of the prompt's tokens alone. The encoder is causal, so padding behind them would change nothing."""
    crop = _TEXT_TEMPLATE["crop_start"]
    tokens = networks.tokenizer(_TEXT_TEMPLATE["template"].format(prompt)).input_ids
    ids = torch.tensor([tokens[: crop + _MAX_PROMPT_TOKENS]], device=networks.device)
    states = networks.text_encoder(input_ids=ids, output_hidden_states=True).hidden_states[_LAYER]
    return states[:, crop:], max(len(tokens) - crop - _MAX_PROMPT_TOKENS, 0)


def _encode_text_and_image(networks: Networks, prompt: str, image: Picture, negative: bool) -> tuple[torch.Tensor, int]:
    """The states of some of the picture's tokens, then of the prompt's.

    The template's place for the picture becomes as many tokens as the picture's encoder gives. The assistant's header
    is cut out again.
    """
    template, encoder = _IMAGE_TEMPLATE, networks.text_encoder
    place, count, crop = template["image_emb_start"], template["image_emb_len"], template["crop_start"]
    tokens = networks.tokenizer(template["template"].format(prompt)).input_ids
    image_token = encoder.config.image_token_index
    kept = [
        token for token in tokens[place + 1 :] if token != image_token
    ]  # the prompt must not have a second placeholder
    cut = max(place + 1 + len(kept) - crop - _MAX_PROMPT_TOKENS, 0)
    text = [*tokens[:place], image_token, *kept[: crop + _MAX_PROMPT_TOKENS - place - 1]]
    header_end = networks.tokenizer.convert_tokens_to_ids("<|end_header_id|>")
    ends = [index for index, token in enumerate(text) if token == header_end]
    behind = ends[-1] + 1 if len(ends) > 2 else len(text)  # a long prompt has pushed the header out
    expanded = [*text[:place], *[image_token] * count, *text[place + 1 :]]
    ids = torch.tensor([expanded], device=networks.device)
    pixels = networks.image_processor(Image.fromarray(image), return_tensors="pt").pixel_values
    states = encoder(
        input_ids=ids, pixel_values=pixels.to(networks.device, encoder.dtype), output_hidden_states=True
    ).hidden_states[_LAYER]
    stride = _NEGATIVE_IMAGE_TOKEN_STRIDE if negative else _IMAGE_TOKEN_STRIDE[str(networks.image_condition)]
    longer = count - 1  # by so much the picture's tokens have moved those behind them
    pieces = [
        states[:, place : place + count : stride],
        states[:, crop + longer : behind - _ASSISTANT_TOKENS + longer],
        states[:, behind + longer :],
    ]
    return torch.cat(pieces, dim=1), cut


def _encode_pooled(networks: Networks, prompt: str) -> torch.Tensor:
    """CLIP's pooled state of the prompt [1, dim]. CLIP reads 77 tokens. Only the other encoder reads further."""
    ids = networks.tokenizer_2(prompt, truncation=True, max_length=77, return_tensors="pt").input_ids
    pooled: torch.Tensor = networks.text_encoder_2(ids.to(networks.device)).pooler_output.to(networks.dtype)
    return pooled


@torch.inference_mode()
def encode_frames(networks: Networks, frames: Frames) -> torch.Tensor:
    """Scaled latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 frames."""
    return latent_space.encode(networks.vae, frames, networks.device)


def get_noise(networks: Networks, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    if networks.image_condition == "latent_concat":
        dropped = _DROPPED_LATENTS * networks.vae.temporal_compression_ratio
        shape = replace(shape, num_frames=shape.num_frames + dropped)
    return latent_space.noise(networks.vae, shape, generator, networks.device)


@torch.inference_mode()
def start(networks: Networks, inputs: Inputs[Conditioning]) -> Start[Conditioning]:
    """Each prompt runs by itself. Besides classifier-free guidance there is embedded guidance, an input of distilled
    transformers. Nothing is drawn from the generator."""
    sampling, noise = inputs.sampling, inputs.noise.transpose(1, 2)
    schedule = shifted_schedule(networks.scheduler_config, sampling.steps, sampling.flow_shift, networks.device)
    guidance = Guidance.constant(sampling.guidance_scale, sampling.steps)
    embedded = _embedded_guidance(networks, sampling.embedded_guidance_scale)

    def predict(model_input: torch.Tensor, index: int, prompts: Sequence[Conditioning]) -> list[torch.Tensor]:
        return [
            networks.transformer(
                hidden_states=model_input.to(networks.dtype),
                timestep=schedule.timesteps[index].expand(1),
                encoder_hidden_states=prompt.states,
                encoder_attention_mask=prompt.mask,
                pooled_projections=prompt.pooled,
                guidance=embedded,
                return_dict=False,
            )[0].float()
            for prompt in prompts
        ]

    if inputs.known is None:
        return Start(noise, schedule, inputs.prompts, guidance, predict, time_first)
    picture = inputs.known.transpose(1, 2)
    noise = noise * _NOISE_OVER_IMAGE + picture * (1 - _NOISE_OVER_IMAGE)
    if networks.image_condition == "token_replace":
        return Start(
            noise[:, :, 1:],
            schedule,
            inputs.prompts,
            guidance,
            predict=lambda moving, index, prompts: [
                predicted[:, :, 1:] for predicted in predict(torch.cat([picture, moving], dim=2), index, prompts)
            ],
            finish=lambda moving: time_first(torch.cat([picture, moving], dim=2)),
        )
    beside = torch.zeros_like(noise[:, :1]).repeat(1, noise.shape[1] + 1, 1, 1, 1)
    beside[:, :-1, :1], beside[:, -1, 0] = picture, 1  # and which latents it stands for
    return Start(
        noise,
        schedule,
        inputs.prompts,
        guidance,
        predict=lambda latents, index, prompts: predict(torch.cat([latents, beside], dim=1), index, prompts),
        finish=time_first,
    )


def _embedded_guidance(networks: Networks, scale: float | None) -> torch.Tensor | None:
    """The transformer's input [1]; None if it was not distilled to take one."""
    if not networks.transformer.config.guidance_embeds:
        return None
    scale = _EMBEDDED_GUIDANCE if scale is None else scale
    return torch.tensor([scale], dtype=networks.dtype, device=networks.device) * 1000


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch, piece: Piece = LEAST
) -> Iterator[torch.Tensor]:
    """Decodes tiles in time that fade into each other, as the autoencoder's own whole decode does.

    It is not causal, so a tile sees 17 frames and keeps 12. If a piece has not the whole picture, tiles fade into each
    other in space too. Nothing is drawn from `generator`.
    """
    vae, count = networks.vae, latents.shape[1]
    encoded = (latents.transpose(1, 2) / vae.config.scaling_factor).to(vae.dtype)
    ratio, stride = vae.temporal_compression_ratio, vae.tile_sample_stride_num_frames
    seen = vae.tile_sample_min_num_frames // ratio + 1
    fade = vae.tile_sample_min_num_frames - stride
    drop = _DROPPED_LATENTS * ratio if networks.image_condition == "latent_concat" else 0
    if not piece.whole_picture and is_tiled(vae, encoded):
        watch.note("The frames were decoded in tiles that fade into each other, to fit into the memory.")
    before = None
    for first in range(0, max(count - 1, 1), stride // ratio):
        tile = encoded[:, :, first : first + seen]
        pixels = decode_whole(vae, tile) if piece.whole_picture else decode_tiled(vae, tile, lambda *_: watch.check())
        if before is not None:  # its first frame is the last one that the tile before it keeps
            pixels = vae.blend_t(before, pixels[:, :, 1:], fade)
        watch.step("decode", min(first + seen - 1, count), count)
        yield pixels[:, :, drop : stride + (before is None)]
        before, drop = pixels, 0

"""Sampling of HunyuanVideo-1.5, in the order in which a clip is made: encode_prompt, prepare, denoise, decode.

The text and image models, also the distilled ones. Beside the noise the transformer sees the picture's latents and
which latents they stand for; it reads the prompt (Qwen2.5-VL), the words in quotes once more by their letters (ByT5),
and what the picture shows (SigLIP) (HunyuanVideo 1.5, arXiv:2511.18870). Latents are [1, T, C, h, w] for the engine
and [1, C, T, h, w] within; `vae.config.scaling_factor` brings them to unit variance.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    HunyuanVideo15Transformer3DModel,
)
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import extract_glyph_texts, format_text_input
from PIL import Image
from transformers import ByT5Tokenizer, Qwen2_5_VLTextModel, SiglipVisionModel, T5EncoderModel

from videoworker.engine import flow_matching, latent_space
from videoworker.engine.hunyuanvideo_1_5_decoder import stream
from videoworker.engine.joint_attention import JointAttention
from videoworker.engine.parts import Parts
from videoworker.engine.pixels import to_frames
from videoworker.errors import Code, JobError
from videoworker.models.plan import Sampling
from videoworker.watch import Watch

DESCRIBES_IMAGE = True

# The words the model was trained with, their spaces too.
SYSTEM_MESSAGE = (8 * " ").join(
    (
        "You are a helpful assistant. Describe the video by detailing the following aspects: ",
        "1. The main content and theme of the video. ",
        "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects. ",
        "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects. ",
        "4. background environment, light, style and atmosphere. ",
        "5. camera angles, movements, and transitions used in the video.",
    )
)
_TEMPLATE_TOKENS = 108  # before the prompt; they are cut away
_MAX_PROMPT_TOKENS = 1000
_MAX_GLYPH_TOKENS = 256  # bytes, and the end mark
_LAYER = -3  # the text encoder's layer that is read


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device and in one dtype. `image_encoder` and `image_processor` are None for the
    text models. `guider` says how predictions are combined; its own scale is not used."""

    tokenizer: Any
    tokenizer_2: Any
    text_encoder: Any
    text_encoder_2: Any
    image_encoder: Any
    image_processor: Any
    transformer: Any
    vae: Any
    guider: Any
    scheduler_config: Any
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Conditioning:
    """One prompt, without padding: `states` [1, tokens, dim]; of its quoted words `glyphs` [1, bytes or 0, dim];
    `picture` [1, patches or 0, dim]."""

    states: torch.Tensor
    glyphs: torch.Tensor
    picture: torch.Tensor


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Reads a checkpoint in diffusers layout; safetensors only. Raises `JobError` MODEL_NOT_LOADED where the tokenizer
    does not read the template as the model was taught."""
    parts = Parts(folder, device, dtype)
    tokenizer = parts.tokenizer("tokenizer")
    _check_tokenizer(tokenizer)
    transformer = parts.network(HunyuanVideo15Transformer3DModel, "transformer")
    for block in transformer.transformer_blocks:
        block.attn.set_processor(JointAttention())
    for embedder in filter(
        None, (transformer.time_embed.timestep_embedder, transformer.time_embed.timestep_embedder_r)
    ):
        # Timesteps stay in float32 until they are waves: in bfloat16 there are only 128 of them above 500.
        embedder.register_forward_pre_hook(lambda _, waves: (waves[0].to(dtype),))
    vae = parts.network(AutoencoderKLHunyuanVideo15, "vae")
    for attention in vae.encoder.mid_block.attentions:
        attention.prepare_causal_attention_mask = _causal_mask
    encoder = processor = None
    if (folder / "image_encoder").is_dir():
        encoder = parts.encoder(SiglipVisionModel, "image_encoder")
        processor = parts.image_processor("feature_extractor")
    return Networks(
        tokenizer=tokenizer,
        tokenizer_2=parts.tokenizer("tokenizer_2", ByT5Tokenizer),
        text_encoder=parts.encoder(Qwen2_5_VLTextModel, "text_encoder"),
        text_encoder_2=parts.encoder(T5EncoderModel, "text_encoder_2"),
        image_encoder=encoder,
        image_processor=processor,
        transformer=transformer,
        vae=vae,
        guider=ClassifierFreeGuidance.from_pretrained(folder / "guider", local_files_only=True),
        scheduler_config=parts.scheduler_config(),
        device=device,
        dtype=dtype,
    )


def _check_tokenizer(tokenizer: Any) -> None:
    """The template is cut off by its number of tokens, so a tokenizer that reads it otherwise would spoil prompts."""
    text = tokenizer.apply_chat_template(_conversation("{}"), add_generation_prompt=True, tokenize=False)
    found = len(tokenizer(text.split("{}")[0]).input_ids)
    if found != _TEMPLATE_TOKENS:
        raise JobError(
            Code.MODEL_NOT_LOADED,
            f"HunyuanVideo-1.5's tokenizer reads its prompt template as {found} tokens, not as {_TEMPLATE_TOKENS}: its "
            f"files and the installed transformers do not fit together.",
        )


def _conversation(prompt: str) -> Any:
    return format_text_input([prompt], SYSTEM_MESSAGE)[0]


def _causal_mask(
    n_frame: int, n_hw: int, dtype: torch.dtype, device: torch.device, batch_size: int | None = None
) -> torch.Tensor | None:
    """Which places of a clip [frames * h * w] see which: those of their own frame and before. The autoencoder's own
    fills a matrix row by row; a single frame, which is what is encoded, needs none."""
    if n_frame == 1:
        return None
    frames = torch.arange(n_frame, device=device).repeat_interleave(n_hw)
    return frames[:, None] >= frames[None, :]


@torch.inference_mode()
def encode_prompt(networks: Networks, prompts: list[str], image: np.ndarray | None) -> tuple[list[Conditioning], int]:
    """What the transformer needs of each prompt, and how many tokens of the last did not fit. A negative prompt comes
    with the same picture."""
    if image is None:
        picture = torch.zeros((1, 0, networks.transformer.config.image_embed_dim), device=networks.device)
    else:
        pixels = networks.image_processor(Image.fromarray(image), do_resize=True, return_tensors="pt").pixel_values
        picture = networks.image_encoder(pixels.to(networks.device, networks.dtype)).last_hidden_state
    encoded: list[Conditioning] = []
    cut = 0
    for prompt in prompts:
        states, cut_words = _encode_text(networks, prompt)
        glyphs, cut_glyphs = _encode_glyphs(networks, prompt)
        encoded.append(Conditioning(*(part.to(networks.dtype) for part in (states, glyphs, picture))))
        cut = cut_words + cut_glyphs
    return encoded, cut


def _encode_text(networks: Networks, prompt: str) -> tuple[torch.Tensor, int]:
    """The states of the prompt's tokens alone: the encoder is causal, so padding behind them would change nothing."""
    tokens = networks.tokenizer.apply_chat_template(
        _conversation(prompt), add_generation_prompt=True, tokenize=True, return_dict=True
    ).input_ids
    most = _TEMPLATE_TOKENS + _MAX_PROMPT_TOKENS
    ids = torch.tensor([tokens[:most]], device=networks.device)
    states = networks.text_encoder(input_ids=ids, output_hidden_states=True).hidden_states[_LAYER]
    return states[:, _TEMPLATE_TOKENS:], max(len(tokens) - most, 0)


def _encode_glyphs(networks: Networks, prompt: str) -> tuple[torch.Tensor, int]:
    """The letters of the words in quotes, which are to be seen in the video; none where nothing is quoted."""
    text = extract_glyph_texts(prompt)
    if text is None:
        return torch.zeros((1, 0, networks.transformer.config.text_embed_2_dim), device=networks.device), 0
    ids = networks.tokenizer_2(text, truncation=True, max_length=_MAX_GLYPH_TOKENS, return_tensors="pt").input_ids
    cut = len(networks.tokenizer_2(text).input_ids) - ids.shape[1]
    return networks.text_encoder_2(input_ids=ids.to(networks.device))[0], cut


@torch.inference_mode()
def encode_frames(networks: Networks, frames: np.ndarray) -> torch.Tensor:
    """Scaled latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 RGB frames [n, height, width, 3], uint8."""
    return latent_space.encode(networks.vae, frames, networks.device, networks.dtype)


def get_noise(networks: Networks, num_frames: int, width: int, height: int, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
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
    """Latents [1, T, C, h, w] from noise. With two prompts (the negative first) the checkpoint's guider combines their
    predictions by `guidance_scale`. `given` are the clip's first latents [1, n, C, h, w], for the image models.
    Nothing is drawn from `generator`."""
    transformer, device = networks.transformer, networks.device
    scheduler = flow_matching.make_scheduler(networks.scheduler_config, sampling.steps, sampling.flow_shift, device)
    guider = copy(networks.guider)
    guider.guidance_scale = sampling.guidance_scale
    latents = noise.transpose(1, 2)
    beside = torch.zeros_like(latents[:, :1]).repeat(1, latents.shape[1] + 1, 1, 1, 1)
    if given is not None:
        beside[:, :-1, : given.shape[1]], beside[:, -1, : given.shape[1]] = given.transpose(1, 2), 1
    # MeanFlow's average velocity goes from one timestep to the next.
    until = torch.cat([scheduler.timesteps[1:], scheduler.timesteps.new_zeros(1)])

    def velocity(latents: torch.Tensor, timestep: torch.Tensor, index: int) -> torch.Tensor:
        def predict(prompt: Conditioning) -> torch.Tensor:
            predicted: torch.Tensor = transformer(
                hidden_states=torch.cat([latents, beside], dim=1).to(networks.dtype),
                timestep=timestep.expand(1),
                timestep_r=until[index].expand(1) if transformer.config.use_meanflow else None,
                encoder_hidden_states=prompt.states,
                encoder_attention_mask=_all(prompt.states),
                encoder_hidden_states_2=prompt.glyphs,
                encoder_attention_mask_2=_all(prompt.glyphs),
                image_embeds=prompt.picture,
                return_dict=False,
            )[0]
            return predicted.float()

        guider.set_state(step=index, num_inference_steps=sampling.steps, timestep=timestep)
        positive = predict(conditioning[-1])
        if len(conditioning) == 1 or guider.num_conditions == 1:
            return positive
        guided: torch.Tensor = guider.forward(positive, predict(conditioning[0])).pred
        return guided

    return flow_matching.denoise(latents, scheduler, velocity, watch, part).transpose(1, 2)


def _all(states: torch.Tensor) -> torch.Tensor:
    """The mask [1, tokens] that leaves none of [1, tokens, dim] out."""
    return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, watch: Watch, part: tuple[int, int], generator: torch.Generator
) -> Iterator[np.ndarray]:
    """RGB frames [height, width, 3], uint8, one by one: one latent frame at a time."""
    count = latents.shape[1]
    encoded = (latents.transpose(1, 2) / networks.vae.config.scaling_factor).to(networks.dtype)
    for index, pixels in enumerate(stream(networks.vae.decoder, encoded)):
        frames = to_frames(pixels)
        watch.step("decode", index + 1, count, part)
        yield from frames

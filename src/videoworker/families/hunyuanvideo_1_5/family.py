"""HunyuanVideo-1.5, in the order in which a clip is made: load, encode_prompts, get_noise, encode_frames, start,
decode.

There are text and image models, and distilled ones of both (HunyuanVideo 1.5, arXiv:2511.18870). Inputs of the
transformer beside the noise are the picture's latents, and which latents they stand for. It also reads the prompt
(Qwen2.5-VL), its quoted words by their letters (ByT5), and what the picture shows (SigLIP).

Latents are [1, T, C, h, w] for the engine and [1, C, T, h, w] within. `vae.config.scaling_factor` brings them to unit
variance.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    HunyuanVideo15Transformer3DModel,
)
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import extract_glyph_texts, format_text_input
from PIL import Image
from transformers import ByT5Tokenizer, Qwen2_5_VLTextModel, SiglipVisionModel, T5EncoderModel

from videoworker.canvas import Frames, Picture
from videoworker.errors import Code, JobError
from videoworker.families.hunyuanvideo_1_5 import published
from videoworker.families.hunyuanvideo_1_5.decoder import stream
from videoworker.families.hunyuanvideo_1_5.upsampler import read_upsampler
from videoworker.models.piece import LEAST, Piece
from videoworker.sampling import latent_space
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.flow_matching import shifted_schedule
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.joint_attention import JointAttention
from videoworker.sampling.latent_space import Shape, time_first
from videoworker.sampling.reader import Reader
from videoworker.sampling.schedule import FlowSchedule
from videoworker.watch import Watch

# The words that the model was trained with, and their spaces too.
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
_TEMPLATE_TOKENS = 108  # before the prompt; they are cut off
_MAX_PROMPT_TOKENS = 1000
_MAX_GLYPH_TOKENS = 256  # bytes, and the end mark
_LAYER = -3  # the layer of the text encoder that is read


@dataclass(frozen=True)
class Networks:
    """A loaded checkpoint, all on one device. `dtype` is the transformers'. `image_encoder` and `image_processor` are
    None for the text models; `sr_transformer` and `upsampler` are None without super-resolution. `guider` says how
    predictions are combined; its own scale is not used."""

    tokenizer: Any
    tokenizer_2: Any
    text_encoder: Any
    text_encoder_2: Any
    image_encoder: Any
    image_processor: Any
    transformer: Any
    sr_transformer: Any
    upsampler: Any
    vae: Any
    guider: Any
    scheduler_config: Any
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Conditioning:
    """One prompt without padding: `states` [1, tokens, dim], `glyphs` of its quoted words [1, bytes or 0, dim], and
    `picture` [1, patches or 0, dim]."""

    states: torch.Tensor
    glyphs: torch.Tensor
    picture: torch.Tensor


def load(reader: Reader) -> Networks:
    """Reads a checkpoint. Raises `JobError` MODEL_NOT_LOADED if the tokenizer does not read the template as the model
    was taught."""
    dtype = reader.dtypes["transformer"]
    tokenizer = reader.tokenizer("tokenizer")
    _check_tokenizer(tokenizer)
    transformer = _with_exact_times(reader.network(HunyuanVideo15Transformer3DModel, "transformer"), dtype)
    sr_transformer = upsampler = None
    if "sr_transformer" in reader.places:
        sr_transformer = _with_exact_times(published.transformer(reader, "sr_transformer"), dtype)
        upsampler = read_upsampler(reader, "upsampler")
    vae = reader.network(AutoencoderKLHunyuanVideo15, "vae")
    for attention in vae.encoder.mid_block.attentions:
        attention.prepare_causal_attention_mask = _causal_mask
    encoder = processor = None
    if (reader.folder / "image_encoder").is_dir():
        encoder = reader.encoder(SiglipVisionModel, "image_encoder")
        processor = reader.image_processor("feature_extractor")
    return Networks(
        tokenizer=tokenizer,
        tokenizer_2=reader.tokenizer("tokenizer_2", ByT5Tokenizer),
        text_encoder=reader.encoder(Qwen2_5_VLTextModel, "text_encoder"),
        text_encoder_2=reader.encoder(T5EncoderModel, "text_encoder_2"),
        image_encoder=encoder,
        image_processor=processor,
        transformer=transformer,
        sr_transformer=sr_transformer,
        upsampler=upsampler,
        vae=vae,
        guider=ClassifierFreeGuidance.from_pretrained(reader.folder / "guider", local_files_only=True),
        scheduler_config=reader.scheduler_config(),
        device=reader.device,
        dtype=dtype,
    )


def _with_exact_times(transformer: Any, dtype: torch.dtype) -> Any:
    """The transformer, with an attention that needs no mask. Timesteps stay in float32 until they are sinusoids:
    bfloat16 has only 128 different ones above 500."""
    for block in transformer.transformer_blocks:
        block.attn.set_processor(JointAttention())
    for embedder in filter(
        None, (transformer.time_embed.timestep_embedder, transformer.time_embed.timestep_embedder_r)
    ):
        embedder.register_forward_pre_hook(lambda _, waves: (waves[0].to(dtype),))
    return transformer


def _check_tokenizer(tokenizer: Any) -> None:
    """Raises `JobError` if the tokenizer does not read the template as the model was taught. The template is cut off by
    its number of tokens, so another number would spoil the prompts."""
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
    """Which places of a clip [frames * h * w] see which: those of their own frame and of the frames before.

    The autoencoder's own function fills a matrix row by row. If a single frame is encoded, as here, it needs no mask.
    """
    if n_frame == 1:
        return None
    frames = torch.arange(n_frame, device=device).repeat_interleave(n_hw)
    return frames[:, None] >= frames[None, :]


@torch.inference_mode()
def encode_prompts(
    networks: Networks, prompts: Sequence[str], image: Picture | None
) -> tuple[tuple[Conditioning, ...], int]:
    """The conditioning of each prompt, and how many tokens of the last did not fit. A negative prompt has the same
    picture."""
    if image is None:
        picture = torch.zeros((1, 0, networks.transformer.config.image_embed_dim), device=networks.device)
    else:
        pixels = networks.image_processor(Image.fromarray(image), do_resize=True, return_tensors="pt").pixel_values
        picture = networks.image_encoder(pixels.to(networks.device, networks.image_encoder.dtype)).last_hidden_state
    encoded, cut = list[Conditioning](), 0
    for prompt in prompts:
        states, cut_words = _encode_text(networks, prompt)
        glyphs, cut_glyphs = _encode_glyphs(networks, prompt)
        encoded.append(Conditioning(*(seen.to(networks.dtype) for seen in (states, glyphs, picture))))
        cut = cut_words + cut_glyphs
    return tuple(encoded), cut


def _encode_text(networks: Networks, prompt: str) -> tuple[torch.Tensor, int]:
    """The states of the prompt's tokens alone. The encoder is causal, so padding behind them would change nothing."""
    tokens = networks.tokenizer.apply_chat_template(
        _conversation(prompt), add_generation_prompt=True, tokenize=True, return_dict=True
    ).input_ids
    most = _TEMPLATE_TOKENS + _MAX_PROMPT_TOKENS
    ids = torch.tensor([tokens[:most]], device=networks.device)
    states = networks.text_encoder(input_ids=ids, output_hidden_states=True).hidden_states[_LAYER]
    return states[:, _TEMPLATE_TOKENS:], max(len(tokens) - most, 0)


def _encode_glyphs(networks: Networks, prompt: str) -> tuple[torch.Tensor, int]:
    """The letters of the prompt's quoted words, which are to be seen in the video; none if nothing is quoted."""
    text = extract_glyph_texts(prompt)
    if text is None:
        return torch.zeros((1, 0, networks.transformer.config.text_embed_2_dim), device=networks.device), 0
    ids = networks.tokenizer_2(text, truncation=True, max_length=_MAX_GLYPH_TOKENS, return_tensors="pt").input_ids
    cut = len(networks.tokenizer_2(text).input_ids) - ids.shape[1]
    return networks.text_encoder_2(input_ids=ids.to(networks.device))[0], cut


@torch.inference_mode()
def encode_frames(networks: Networks, frames: Frames) -> torch.Tensor:
    """Scaled latents [1, (n - 1) / 4 + 1, C, h, w] of n = 4k + 1 frames."""
    return latent_space.encode(networks.vae, frames, networks.device)


def get_noise(networks: Networks, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU."""
    return latent_space.noise(networks.vae, shape, generator, networks.device)


@torch.inference_mode()
def start(networks: Networks, inputs: Inputs[Conditioning]) -> Start[Conditioning]:
    """Each prompt runs by itself. Nothing is drawn from the generator."""
    transformer, sampling, noise = networks.transformer, inputs.sampling, inputs.noise.transpose(1, 2)
    schedule = shifted_schedule(networks.scheduler_config, sampling.steps, sampling.flow_shift, networks.device)
    beside = known_beside(noise, inputs.known)
    return Start(
        noise,
        schedule,
        inputs.prompts,
        _guidance(networks.guider.config, sampling.guidance_scale, sampling.steps),
        predictor(transformer, networks.dtype, schedule, lambda _: beside),
        finish=time_first,
    )


def known_beside(noise: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
    """The channels [1, C + 1, T, h, w] beside those of `noise` [1, C, T, h, w]: the latents of the first frames
    [1, t, C, h, w], and a mask of ones where they are. All else is zero."""
    beside = torch.zeros_like(noise[:, :1]).repeat(1, noise.shape[1] + 1, 1, 1, 1)
    if known is not None:
        count = known.shape[1]
        beside[:, :-1, :count], beside[:, -1, :count] = known.transpose(1, 2), 1
    return beside


def predictor(
    transformer: Any, dtype: torch.dtype, schedule: FlowSchedule, beside: Callable[[int], torch.Tensor]
) -> Callable[[torch.Tensor, int, Sequence[Conditioning]], list[torch.Tensor]]:
    """The `predict` of a `Start`. `beside(index)` are the channels beside the latents at that step."""
    # MeanFlow's average velocity goes from one timestep to the next.
    until = torch.cat([schedule.timesteps[1:], schedule.timesteps.new_zeros(1)])

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[Conditioning]) -> list[torch.Tensor]:
        return [
            transformer(
                hidden_states=torch.cat([latents, beside(index)], dim=1).to(dtype),
                timestep=schedule.timesteps[index].expand(1),
                timestep_r=until[index].expand(1) if transformer.config.use_meanflow else None,
                encoder_hidden_states=prompt.states,
                encoder_attention_mask=_all(prompt.states),
                encoder_hidden_states_2=prompt.glyphs,
                encoder_attention_mask_2=_all(prompt.glyphs),
                image_embeds=prompt.picture,
                return_dict=False,
            )[0].float()
            for prompt in prompts
        ]

    return predict


def _guidance(guider: Any, scale: float, steps: int) -> Guidance:
    """Guidance as the configuration of the checkpoint's guider says: over which share of the steps, and how rescaled.

    The guider's own scale is not used. In the original formulation the scale counts from the prompt's own prediction,
    so it is one more here.
    """
    if not guider.enabled:
        return Guidance.constant(1, steps)
    scale += guider.use_original_formulation
    first, end = int(guider.start * steps), int(guider.stop * steps)
    scales = tuple(scale if first <= index < end else 1.0 for index in range(steps))
    return Guidance(scales, guider.guidance_rescale)


def _all(states: torch.Tensor) -> torch.Tensor:
    """A mask [1, tokens] that keeps all of [1, tokens, dim]."""
    return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)


@torch.inference_mode()
def decode(
    networks: Networks, latents: torch.Tensor, generator: torch.Generator, watch: Watch, piece: Piece = LEAST
) -> Iterator[torch.Tensor]:
    """Decodes as many latent frames at a time as a piece has. Nothing is drawn from `generator`."""
    vae, count = networks.vae, latents.shape[1]
    encoded = (latents.transpose(1, 2) / vae.config.scaling_factor).to(vae.dtype)
    done = 0
    for pixels in stream(vae.decoder, encoded, piece.latents):
        done = min(done + piece.latents, count)
        watch.step("decode", done, count)
        yield pixels

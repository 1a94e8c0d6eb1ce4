"""HunyuanVideo-Foley, in the order in which a sound is made: view, load, read_texts, extract, get_noise, start,
decode.

Latents are [1, C, L], 50 a second. They are made from noise in Euler's steps with guidance. The negative prompt's side
sees nothing: it has the transformer's own features for an empty picture and no motion (arXiv:2508.16930).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from transformers import ClapTextModel, SiglipVisionModel

from videoworker.families.foley import codec
from videoworker.families.foley.codec import FoleyDecoder
from videoworker.families.foley.features import Extractors, Sides, Viewer
from videoworker.families.foley.joining import shares
from videoworker.families.foley.synchformer import Synchformer
from videoworker.families.foley.transformer import Conditioning, FoleyTransformer
from videoworker.families.foley.windows import Window, num_latents, windows
from videoworker.families.sound_family import Footage, Hearing
from videoworker.models.sound_model import Part
from videoworker.sampling.denoise import Start
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.reader import Reader
from videoworker.sampling.schedule import FlowSchedule

SAMPLE_RATE = 48_000

_LARGEST_TIMESTEP = 1000
_EMPTY, _WANTED = 0, 1  # the rows of a batch: the negative prompt without pictures, and the prompt with them


@dataclass(frozen=True)
class Denoiser:
    """The transformer and where it lies."""

    transformer: Any
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Decoder:
    """The codec's decoder and where it lies. It computes in float32: its activation divides by numbers near 0."""

    codec: Any
    device: torch.device


def load(reader: Reader, part: Part) -> Extractors | Denoiser | Decoder:
    """Reads the networks of a part."""
    if part is Part.EXTRACTORS:
        return Extractors(
            tokenizer=reader.tokenizer("tokenizer"),
            text_encoder=reader.encoder(ClapTextModel, "text_encoder"),
            image_encoder=reader.encoder(SiglipVisionModel, "image_encoder"),
            synchformer=reader.network(Synchformer, "synchformer"),
            device=reader.device,
        )
    if part is Part.TRANSFORMER:
        return Denoiser(reader.network(FoleyTransformer, "transformer"), reader.device, reader.dtypes["transformer"])
    return Decoder(reader.network(FoleyDecoder, "codec"), reader.device)


def view(reader: Reader, footage: Footage, file: BinaryIO) -> Viewer:
    """A viewer for the video's windows, which keeps pictures in `file`."""
    sides = Sides(reader.config("image_encoder")["image_size"], reader.config("synchformer")["image_size"])
    return Viewer(sides, windows(footage), file)


def get_noise(networks: Denoiser, footage: Footage, generator: torch.Generator) -> torch.Tensor:
    """Noise [1, C, L] in float32, drawn on the CPU."""
    shape = 1, networks.transformer.config.latent_channels, num_latents(footage)
    return torch.randn(shape, generator=generator).to(networks.device)


@torch.inference_mode()
def start(hearing: Hearing) -> Start[int]:
    """A prompt of the loop is the number of a row. All rows of a window run together, and windows one after another, so
    that memory does not grow with the sound."""
    networks, sampling = hearing.networks, hearing.sampling
    guidance = Guidance.constant(sampling.guidance_scale, sampling.steps)
    rows = guidance.prompts(0, (_EMPTY, _WANTED))
    spans = windows(hearing.footage)
    conditionings = _conditionings(networks, hearing, spans, rows)
    joined = shares(spans, networks.device)
    sigmas = torch.linspace(1, 0, sampling.steps + 1)
    timesteps = (_LARGEST_TIMESTEP * sigmas[:-1]).to(networks.device)

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[int]) -> list[torch.Tensor]:
        timestep = timesteps[index].expand(len(prompts))
        predicted = latents.new_zeros(len(prompts), *latents.shape[1:])
        for span, conditioning, share in zip(spans, conditionings, joined, strict=True):
            place = slice(span.start, span.start + span.length)
            batch = latents[:, :, place].expand(len(prompts), -1, -1).to(networks.dtype)
            velocity = networks.transformer(batch, timestep, conditioning, hearing.watch.check).float()
            predicted[:, :, place] += share.weights(index, sampling.steps) * velocity
        return [row[None] for row in predicted]

    return Start(hearing.noise, FlowSchedule(sigmas, timesteps), tuple(rows), guidance, predict)


def _conditionings(
    networks: Denoiser, hearing: Hearing, spans: Sequence[Window], rows: Sequence[int]
) -> list[Conditioning]:
    """Of each window, with the rows that are needed. The text is read once."""
    transformer, chosen = networks.transformer, list(rows)
    text = transformer.read_text(hearing.texts[chosen].to(networks.device, networks.dtype))
    positions = transformer.positions(spans[0].length, len(spans[0].pictures))  # all windows have the same

    def with_nothing(features: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        """Both rows of a batch, [rows, n, dim]."""
        given = features.to(networks.device, networks.dtype)
        return torch.stack([empty.expand_as(given), given])[chosen]

    conditionings = []
    for span, seen in zip(spans, hearing.seen, strict=True):
        visual, sync = transformer.look(
            with_nothing(seen.visual, transformer.empty_clip_feat),
            with_nothing(seen.sync, transformer.empty_sync_feat),
            span.length,
        )
        conditionings.append(Conditioning(visual, sync, text, positions))
    return conditionings


@torch.inference_mode()
def decode(networks: Decoder, latents: torch.Tensor) -> Iterator[torch.Tensor]:
    """Samples [1, n] at 48 kHz, piece by piece."""
    yield from codec.decode(networks.codec, latents.to(networks.device))

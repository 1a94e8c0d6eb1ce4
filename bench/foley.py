"""Memory that a sound takes, part by part, at the published size: `python -m bench.foley`.

Counted, not measured, as `bench.activations` does for pictures. Beside the weights of its part a sound of 30 seconds
takes what one of 10 seconds does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
import typer
from transformers import ClapTextConfig, ClapTextModel, SiglipVisionConfig, SiglipVisionModel
from transformers.initialization import no_init_weights

from bench.counting import Count, Shapes
from bench.watches import unheard
from videoworker.families.foley import features
from videoworker.families.foley.codec import FoleyDecoder
from videoworker.families.foley.family import Decoder, Denoiser, decode, start
from videoworker.families.foley.features import Seen
from videoworker.families.foley.synchformer import Synchformer
from videoworker.families.foley.transformer import FoleyTransformer
from videoworker.families.foley.windows import num_latents, windows
from videoworker.families.sound_family import Footage, Hearing
from videoworker.models import SOUND_VARIANTS
from videoworker.models.sampling import Sampling
from videoworker.models.sound_model import Part, SoundModel
from videoworker.planning.memory import GIB
from videoworker.sampling.denoise import denoise

SECONDS = (5, 10, 30)

# The published configurations, where they are not the networks' defaults.
_TRANSFORMERS: dict[str, dict[str, int]] = {
    "xxl": {},
    "xl": {"num_triple_blocks": 12, "num_single_blocks": 24, "hidden_size": 1408, "num_heads": 11},
}
_PICTURE_SIDE = 512
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Counted:
    """Bytes of a part's weights, and those beside them at the worst moment of a sound of so many seconds."""

    weights: int
    beside: dict[int, int]


def count(model: SoundModel, lengths: Sequence[int] = SECONDS) -> dict[Part, Counted]:
    """Of each part. `lengths` of sounds are in seconds."""
    with Shapes(allow_non_fake_inputs=True), torch.inference_mode():
        return {
            Part.EXTRACTORS: _extractors(model, lengths),
            Part.TRANSFORMER: _transformer(model, lengths),
            Part.DECODER: _decoder(model, lengths),
        }


def _extractors(model: SoundModel, lengths: Sequence[int]) -> Counted:
    """As many pictures, segments and tokens as are ever encoded at once, whatever the video's length."""
    dtypes = {one.name: getattr(torch, one.dtype) for one in model.components(Part.EXTRACTORS)}
    text = _in(dtypes["text_encoder"], lambda: ClapTextModel(ClapTextConfig()))
    image = _in(dtypes["image_encoder"], lambda: SiglipVisionModel(SiglipVisionConfig(image_size=_PICTURE_SIDE)))
    motion = _in(dtypes["synchformer"], Synchformer)
    pictures = torch.empty(features.PICTURES_AT_ONCE, 3, _PICTURE_SIDE, _PICTURE_SIDE, dtype=dtypes["image_encoder"])
    segments = torch.empty(features.SEGMENTS_AT_ONCE, 3, 16, 224, 224, dtype=dtypes["synchformer"])
    tokens = torch.ones(2, 512, dtype=torch.long)
    with Count() as counted:
        text(input_ids=tokens, attention_mask=tokens)
        image(pixel_values=pictures)
        motion(segments)
    peak = counted.peak + max(pictures.nbytes, segments.nbytes)
    return Counted(sum(map(_bytes, (text, image, motion))), dict.fromkeys(lengths, peak))


def _transformer(model: SoundModel, lengths: Sequence[int]) -> Counted:
    (component,) = model.components(Part.TRANSFORMER)
    dtype = getattr(torch, component.dtype)
    network = _in(dtype, lambda: FoleyTransformer(**_TRANSFORMERS[model.variant]))
    config, beside = network.config, {}
    for seconds in lengths:
        footage = Footage(24 * seconds, Fraction(24))
        seen = [
            Seen(
                torch.empty(len(window.pictures), config.visual_dim),
                torch.empty(8 * len(window.segments), config.sync_dim),
            )
            for window in windows(footage)
        ]
        hearing = Hearing(
            networks=Denoiser(network, _CPU, dtype),
            footage=footage,
            seen=seen,
            texts=torch.empty(2, features.MAX_TEXT_TOKENS, config.text_dim),
            noise=torch.empty(1, config.latent_channels, num_latents(footage)),
            sampling=Sampling(1, model.default_guidance_scale),
            watch=unheard(),
        )
        with Count() as counted:
            denoise(start(hearing), unheard())
        beside[seconds] = counted.peak
    return Counted(_bytes(network), beside)


def _decoder(model: SoundModel, lengths: Sequence[int]) -> Counted:
    network, beside = _in(torch.float32, FoleyDecoder), {}
    for seconds in lengths:
        latents = torch.empty(1, network.config.latent_channels, num_latents(Footage(24 * seconds, Fraction(24))))
        with Count() as counted:
            for _ in decode(Decoder(network, _CPU), latents):
                pass
        beside[seconds] = counted.peak
    return Counted(_bytes(network), beside)


def _in(dtype: torch.dtype, make: Callable[[], Any]) -> Any:
    """A network with this dtype's parameters. Its numbers are not drawn: there are none."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with no_init_weights():
            return make().eval()
    finally:
        torch.set_default_dtype(default)


def _bytes(network: torch.nn.Module) -> int:
    return sum(parameter.nbytes for parameter in network.parameters())


def main() -> None:
    """Prints a row for each variant and part: GiB of its weights, and GiB beside them by the sound's length."""
    lengths = [f"{seconds} s, GiB" for seconds in SECONDS]
    print(f"| variant | part | weights, GiB | {' | '.join(lengths)} | declared, GiB |")
    print(f"|{'---|' * (4 + len(SECONDS))}")
    for model in SOUND_VARIANTS["foley"]:
        for part, counted in count(model).items():
            cells = [model.variant, part, f"{counted.weights / GIB:.2f}"]
            cells += [f"{size / GIB:.3f}" for size in counted.beside.values()]
            cells += [f"{model.activation_bytes(part) / GIB:.3f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)

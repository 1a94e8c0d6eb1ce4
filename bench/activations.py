"""Memory that a model's default clip takes beside its weights, at the published size: `python -m bench.activations`.

Counted, not measured: our own loops run on tensors that have a shape and no numbers, which needs neither a GPU nor
weights. A count knows nothing of the workspaces of a GPU's kernels, nor of what its allocator cannot use; the choice of
a placement keeps a reserve for both. Attention counts as a fused kernel's, without a table of pairs.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from bench.counting import Count, Shapes
from bench.watches import unheard
from builder import tiny
from builder.declared import FIRST_OF_FAMILY
from videoworker.families import family as family_called
from videoworker.models import VARIANTS
from videoworker.models.checkpoint import Role
from videoworker.models.piece import LEAST, Piece
from videoworker.models.sampling import Sampling
from videoworker.models.video_model import VideoModel
from videoworker.planning.memory import GIB
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.reader import Reader, Tensors

# A larger piece has so many latent frames more than the least. Both are counted on the clip's first ones.
_FURTHER, _FEW = 2, 9


@dataclass(frozen=True)
class Counted:
    """Bytes beside the weights at the worst moment of a step and of decoding in the least pieces, and those of the
    denoiser's weights. `further` are those of each further latent frame that is decoded at once, `picture` those of a
    whole picture instead of tiles; 0 if the model has none such."""

    denoise: int
    decode: int
    denoiser: int
    further: int
    picture: int


@dataclass(frozen=True)
class Published(Reader):
    """Reads networks as they are published but without numbers, and encoders not at all. `configurations`: by network,
    what is otherwise than in diffusers' defaults."""

    configurations: dict[str, dict[str, Any]] = field(kw_only=True)

    def network(self, kind: Any, name: str) -> Any:
        return self.file_network(kind, name, self.configurations.get(name, {}))

    def file_network(
        self, kind: Any, name: str, configuration: Mapping[str, Any], renamed: Callable[[Tensors], Tensors] = dict
    ) -> Any:
        default = torch.get_default_dtype()
        torch.set_default_dtype(self.dtypes[name])
        try:
            return kind(**configuration).eval()
        finally:
            torch.set_default_dtype(default)

    def encoder(self, kind: Any, name: str) -> Any:
        return None


def counted_models() -> list[VideoModel]:
    """Of the variants whose declarations cannot differ in this, one alone; of models of this repository none."""
    found = dict[tuple[str, float, float, int, int], VideoModel]()
    for model in (variant for variants in VARIANTS.values() for variant in variants if variant.checkpoint.repository):
        key = model.name, model.denoise_bytes, model.decode_bytes, model.default_width, model.default_height
        found.setdefault(key, model)
    return list(found.values())


@contextmanager
def published(model: VideoModel) -> Iterator[tuple[Published, Any]]:
    """During the block tensors have a shape and no numbers. Yields what reads the model's published networks, and
    those."""
    dtypes = {component.name: getattr(torch, component.dtype) for component in model.checkpoint.components}
    with tempfile.TemporaryDirectory() as folder:
        tiny.save(model, Path(folder))  # for all that is not a network
        with Shapes(allow_non_fake_inputs=True), torch.inference_mode():
            configurations = tiny.of_family(model.family).PUBLISHED.get(model.variant, {})
            places = model.checkpoint.places
            reader = Published(Path(folder), torch.device("cpu"), dtypes, places=places, configurations=configurations)
            yield reader, family_called(model.family).load(reader)


def count(model: VideoModel) -> Counted:
    """What the model's default clip takes, with a first frame if the model takes one."""
    family, small = family_called(model.family), tiny.of_family(model.family)
    generator, watch = torch.Generator().manual_seed(0), unheard()
    with published(model) as (_, networks):
        shape = Shape(model.default_frames, model.default_width, model.default_height)
        prompts = tuple(small.longest_prompt() for _ in range(2 if model.default_guidance_scale > 1 else 1))
        sampling = Sampling(1, model.default_guidance_scale)
        noise = family.get_noise(networks, shape, generator)
        first = known = None
        if model.takes_image and family.encode_frames is not None:
            first = np.zeros((1, shape.height, shape.width, 3), np.uint8)
            known = family.encode_frames(networks, first)
        inputs = Inputs(noise, prompts, known, sampling, generator, first)
        with Count() as denoising:
            latents = denoise(family.start(networks, inputs), watch)

        def decoding(latents: torch.Tensor, piece: Piece) -> int:
            with Count() as counted:
                for _ in family.decode(networks, latents, generator, watch, piece):
                    pass
            peak: int = counted.peak
            return peak

        decode, further, picture = decoding(latents, LEAST), 0, 0
        if model.decode_latent_bytes:
            few = latents[:, :_FEW]
            further = (decoding(few, Piece(1 + _FURTHER)) - decoding(few, LEAST)) // _FURTHER
        if model.decode_picture_bytes:
            picture = decoding(latents, Piece(whole_picture=True))
        components = model.checkpoint.components
        denoisers = [getattr(networks, one.name) for one in components if one.role is Role.DENOISER]
        weights = sum(weight.nbytes for denoiser in denoisers for weight in denoiser.parameters())
    return Counted(denoising.peak, decode, weights, further, picture)


def main(
    family: Annotated[list[str] | None, typer.Option(help="whose models; may be given again. Else all")] = None,
) -> None:
    """Prints a row for each model: GiB of denoising and of decoding, and the bytes per pixel that its file declares for
    them, beside those that were counted."""
    print(
        "| model | default clip | denoise, GiB | bytes per pixel | decode, GiB | bytes per pixel decoded at once |",
        end="",
    )
    print(" each further latent | whole picture |")
    print("|---|---|---|---|---|---|---|---|")
    for model in counted_models():
        if model.family in (family or FIRST_OF_FAMILY):
            counted, pixels = count(model), model.default_width * model.default_height
            per_clip = counted.denoise / pixels / model.default_frames
            per_frame = counted.decode / model.decoded_at_once(pixels)
            cells = [
                f"{model.name} {model.variant}".strip(),
                f"{model.default_width}x{model.default_height}x{model.default_frames}",
                f"{counted.denoise / GIB:.1f}",
                f"{per_clip:.0f}, declared {model.denoise_bytes:g}",
                f"{counted.decode / GIB:.1f}",
                f"{per_frame:.0f}, declared {model.decode_bytes:g}",
                *(
                    f"{bytes_counted / pixels:.0f}, declared {declared:g}" if declared else "-"
                    for bytes_counted, declared in (
                        (counted.further, model.decode_latent_bytes),
                        (counted.picture, model.decode_picture_bytes),
                    )
                ),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)

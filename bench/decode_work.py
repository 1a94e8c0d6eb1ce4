"""What decoding takes of a device, counted: floating-point operations, kernels and bytes moved, ours and diffusers':
`python -m bench.decode_work`.

The published networks run on tensors that have a shape and no numbers, which needs neither a GPU nor weights. A copy
that a kernel makes within does not count, and attention counts as one kernel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

from bench.activations import published
from bench.counting import Work
from bench.decode import fitting
from bench.watches import unheard
from builder.declared import FIRST_OF_FAMILY
from videoworker.families import family as family_called
from videoworker.models.piece import LEAST, Piece
from videoworker.models.video_model import VideoModel
from videoworker.planning.placement import largest_piece
from videoworker.sampling.latent_space import Shape


@dataclass(frozen=True)
class Counted:
    """Of one decode."""

    operations: int
    kernels: int
    moved: int


def count(model: VideoModel, shape: Shape, room: int) -> list[Counted]:
    """Ours in the least pieces, ours in the largest for which `room` bytes are enough, and diffusers' whole decode."""
    family, generator, watch = family_called(model.family), torch.Generator().manual_seed(0), unheard()
    with published(model) as (reader, networks):
        stock = reader.network(type(networks.vae), "vae")
        latents = family.get_noise(networks, shape, generator)

        def ours(piece: Piece) -> Callable[[], Any]:
            return lambda: list(family.decode(networks, latents, generator, watch, piece))

        ways = (
            ours(LEAST),
            ours(largest_piece(model, shape.width * shape.height, room)),
            lambda: stock.decode(latents.transpose(1, 2).to(stock.dtype)),
        )
        return [_counted(way) for way in ways]


def _counted(decode: Callable[[], Any]) -> Counted:
    with FlopCounterMode(display=False) as operations, Work() as work:
        decode()
    return Counted(operations.get_total_flops(), work.kernels, work.moved)


def main(
    family: Annotated[list[str] | None, typer.Option(help="which one; may be given again. Else all")] = None,
    width: Annotated[int, typer.Option(help="of the picture")] = 640,
    height: Annotated[int, typer.Option(help="of the picture")] = 352,
    frames: Annotated[int, typer.Option(help="how many")] = 33,
    memory: Annotated[float, typer.Option(help="GiB that are left beside the weights, if it is ample")] = 40,
) -> None:
    """Prints three rows for each family's first model: with little memory, with ample memory, and diffusers'."""
    print("| model | size | frames | decoder | TFLOP | kernels | GiB moved |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in family or FIRST_OF_FAMILY:
        model = FIRST_OF_FAMILY[name]
        shape = fitting(model, width, height, frames)
        counted = count(model, shape, round(memory * 2**30))
        for way, one in zip(("little", "ample", "diffusers"), counted, strict=True):
            cells = [model.name, f"{shape.width}x{shape.height}", str(shape.num_frames), way]
            cells += [f"{one.operations / 1e12:.1f}", str(one.kernels), f"{one.moved / 2**30:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)

"""Memory and time of decoding clips, ours with little and with ample memory and diffusers' own whole decode:
`python -m bench.decode`.

With little memory a clip is decoded in the least pieces. With ample memory the pieces are those that planning chooses
if `--memory` GiB of a GPU are left beside the weights.

Latents are noise and networks are this project's small checkpoints: every layer of the real ones, with few channels, in
float32 on the CPU. The three run in turn, several times, each time in a process of its own. Seconds are the median of
those of processors, so that other programs count little: with OMP_NUM_THREADS=1, what an idle core takes. The memory is
the most that a process held at any time, less what it held just before. Sizes and lengths are rounded up to those that
the model makes.

Besides the latents, one thing grows with a clip that we decode, and hardly shows with few channels: the keys and values
that HunyuanVideo-1.5's attention remembers, with the published weights 15 MB per latent frame of 720p in bfloat16.
"""

import ctypes
import multiprocessing
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bench.watches import unheard
from builder import tiny
from builder.declared import FIRST_OF_FAMILY
from videoworker.families import family as family_called
from videoworker.models.piece import LEAST, Piece
from videoworker.models.video_model import VideoModel
from videoworker.planning.placement import largest_piece
from videoworker.planning.sizes import up
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.reader import Reader

_MIB, _GIB = 2**20, 2**30

# glibc's malloc.h. A freed block of at least so many bytes goes back to the system at once. Else what is held depends
# on how blocks happen to lie.
_M_MMAP_THRESHOLD, _MMAPPED_BYTES = -3, 128 * 1024

# Decodes noise [1, T, C, h, w] and says how many frames that made.
Decode = Callable[[torch.Tensor], int]


@dataclass(frozen=True)
class Clip:
    """What is decoded, and the checkpoint that does it: `folder` has a small one of the model."""

    model: VideoModel
    folder: Path
    shape: Shape


@dataclass(frozen=True)
class Decoded:
    """What it took: bytes and seconds."""

    peak: int
    seconds: float


class OutOfMemory(Exception):
    """A decode needs more memory than it may have."""


# A decode for the networks of a clip that may have so many GiB.
Way = Callable[[Any, Clip, float], Decode]


def main(
    family: Annotated[list[str] | None, typer.Option(help="which one; may be given again. Else all")] = None,
    width: Annotated[int, typer.Option(help="of the picture")] = 320,
    height: Annotated[int, typer.Option(help="of the picture")] = 192,
    frames: Annotated[list[int] | None, typer.Option(help="how many; may be given again. Else 33")] = None,
    memory: Annotated[float, typer.Option(help="GiB; a decode that needs more is given up")] = 16,
    runs: Annotated[int, typer.Option(help="of each decode")] = 3,
) -> None:
    """Prints a row for each family's first model and each length, as they are measured."""
    print(
        f"float32 on {torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}, {runs} runs\n"
    )
    print(f"| model | size | frames | {' | '.join(f'{way}, MiB' for way in WAYS)} |", end="")
    print(f" {' | '.join(f'{way}, s' for way in WAYS)} | little : diffusers | ample : diffusers |")
    print(f"|{'---|' * (5 + 2 * len(WAYS))}", flush=True)
    for name in family or FIRST_OF_FAMILY:
        model = FIRST_OF_FAMILY[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            alone(tiny.save, model, folder)
            for length in frames or (33,):
                print(row(Clip(model, folder, fitting(model, width, height, length)), memory, runs), flush=True)


def fitting(model: VideoModel, width: int, height: int, num_frames: int) -> Shape:
    """The least that the model makes which has as much."""
    return Shape(up(num_frames - 1, model.frame_step) + 1, up(width, model.grid), up(height, model.grid))


def row(clip: Clip, memory: float, runs: int) -> str:
    """The ways in turn, `runs` times. One that comes to no end is not tried again."""
    shape, made = clip.shape, {way: list[Decoded | str]() for way in WAYS}
    for _ in range(runs):
        for way, outcomes in made.items():
            if not outcomes or isinstance(outcomes[0], Decoded):
                outcomes.append(outcome(WAYS[way], clip, memory))
    peaks, seconds = list[str](), list[float | None]()
    for outcomes in made.values():
        decoded = [one for one in outcomes if isinstance(one, Decoded)]
        failed = [one for one in outcomes if isinstance(one, str)]
        peaks.append(failed[0] if failed else f"{max(one.peak for one in decoded) / _MIB:.0f}")
        seconds.append(None if failed else statistics.median(one.seconds for one in decoded))
    *ours, stock = seconds
    ratios = ["-" if one is None or stock is None else f"{one / stock:.2f}" for one in ours]
    cells = [clip.model.name, f"{shape.width}x{shape.height}", str(shape.num_frames), *peaks]
    cells += ["-" if one is None else f"{one:.1f}" for one in seconds]
    return f"| {' | '.join((*cells, *ratios))} |"


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` answers in a new process. That has everything imported, since it is forked; it may compute as it
    likes, since nothing was computed here and there are no threads of torch's that it would miss."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as new:
        return new.submit(function, *arguments).result()


def outcome(way: Way, clip: Clip, memory: float) -> Decoded | str:
    """What a decode took, or why it came to no end."""
    try:
        made: Decoded = alone(measure, way, clip, memory)
    except OutOfMemory:
        return f"over {memory:g} GiB"
    except BrokenProcessPool:  # the system chose it when memory ran short
        return "killed"
    return made


def least_in(networks: Any, clip: Clip, memory: float) -> Decode:
    """Ours in the least pieces."""
    return _ours(networks, clip, LEAST)


def largest_in(networks: Any, clip: Clip, memory: float) -> Decode:
    """Ours in the largest pieces for which there is memory."""
    piece = largest_piece(clip.model, clip.shape.width * clip.shape.height, int(memory * _GIB))
    return _ours(networks, clip, piece)


def _ours(networks: Any, clip: Clip, piece: Piece) -> Decode:
    """Every piece is thrown away as the next one comes."""
    watch, decode = unheard(), family_called(clip.model.family).decode
    return lambda latents: sum(pixels.shape[2] for pixels in decode(networks, latents, _generator(), watch, piece))


def stock_in(networks: Any, clip: Clip, memory: float) -> Decode:
    """The autoencoder as diffusers makes it, with no option set. Its numbers are others."""
    autoencoder = type(networks.vae).from_config(networks.vae.config).eval()

    @torch.inference_mode()
    def decode(latents: torch.Tensor) -> int:
        made: int = autoencoder.decode(latents.transpose(1, 2)).sample.shape[2]
        return made

    return decode


def measure(way: Way, clip: Clip, memory: float) -> Decoded:
    """Raises `OutOfMemory` if the decode takes more than `memory` GiB."""
    keep_no_freed_blocks()
    model, family = clip.model, family_called(clip.model.family)
    dtypes = {component.name: torch.float32 for component in model.checkpoint.components}
    networks = family.load(Reader(clip.folder, torch.device("cpu"), dtypes, places=model.checkpoint.places))
    decode = way(networks, clip, memory)
    # What is there once for every clip (code, threads) is there before the measured one.
    decode(family.get_noise(networks, Shape(model.min_frames, model.grid, model.grid), _generator()))
    noise = family.get_noise(networks, clip.shape, _generator())
    limit = of_this_process("VmData") + int(memory * _GIB)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    before, started = of_this_process("VmHWM"), time.process_time()
    made = _within_memory(decode, noise)
    seconds, peak = time.process_time() - started, of_this_process("VmHWM") - before
    if made != clip.shape.num_frames:
        raise RuntimeError(f"{model.name} made {made} frames, not {clip.shape.num_frames}")
    return Decoded(peak, seconds)


def keep_no_freed_blocks() -> None:
    """From now on this process holds no large block that it has freed."""
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAPPED_BYTES)


def _within_memory(decode: Decode, latents: torch.Tensor) -> int:
    try:
        return decode(latents)
    except RuntimeError as error:  # torch has no class of its own for this on the CPU
        if "can't allocate memory" in str(error):
            raise OutOfMemory from error
        raise


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def of_this_process(field: str) -> int:
    """Bytes: `VmData` that it may write to, `VmHWM` that it held at most so far."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


WAYS: dict[str, Way] = {"little": least_in, "ample": largest_in, "diffusers": stock_in}


if __name__ == "__main__":
    typer.run(main)

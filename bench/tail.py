"""From the last latent to the URL, ours and diffusers': `python -m bench.tail`.

LTX-Video's small autoencoder makes the clip, in float32 on the CPU, of latents that change slowly. diffusers' way is
that of its examples: `vae.decode` of the whole clip, `postprocess_video`, `export_to_video` with its defaults, boto3's
`upload_file`. It takes `pip install imageio imageio-ffmpeg`, without which it is left out. Ours is the worker's: frames
are decoded, converted and encoded as one stream, the file is played to its end, and delivered. Its constant rate factor
is the least with which the file has no more bytes than the other.

Both upload to a real S3 server through a line of `--mbit`. They run in turn, each time in a process of its own. Seconds
are medians. The memory is the most that the process held above what it held before: that of diffusers' ffmpeg, which is
another process, does not count. PSNR is over all RGB values, against the frames before any encoding.
"""

import importlib.util
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import torch
import typer
from av.video.reformatter import Colorspace
from diffusers import AutoencoderKLLTXVideo
from diffusers.utils import export_to_video
from diffusers.video_processor import VideoProcessor

from bench.decode import alone, fitting, keep_no_freed_blocks, of_this_process
from bench.distance import psnr
from bench.servers.fault_proxy import FaultProxy
from bench.servers.store import Store, client_for, new_bucket, swift
from bench.watches import unheard
from builder import tiny
from videoworker.canvas import Canvas, Frames
from videoworker.delivery.destinations import destination_for
from videoworker.families import family
from videoworker.media.file import CRF_RANGE, Finished, VideoFile, VideoFormat
from videoworker.media.playable import check_plays
from videoworker.models.ltx import LTX
from videoworker.models.piece import Piece
from videoworker.planning.placement import largest_piece
from videoworker.request import Result, Video, VideoRequest
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.pixels import to_frames
from videoworker.sampling.reader import Reader

_MIB, _GIB = 2**20, 2**30
_SLOWLY = 4  # latents are so many times smaller noise, enlarged


@dataclass(frozen=True)
class Task:
    """A clip whose checkpoint and files lie in `folder`, the bucket for it and the port where that is reached, the GiB
    that our pieces may take, and our constant rate factor."""

    folder: Path
    shape: Shape
    port: int
    bucket: str
    memory: float
    crf: int | None = None

    @property
    def format(self) -> VideoFormat:
        canvas = Canvas.whole(self.shape.width, self.shape.height)
        return VideoFormat("mp4", canvas, LTX.fps, self.shape.num_frames, crf=self.crf)

    @property
    def piece(self) -> Piece:
        return largest_piece(LTX, self.shape.width * self.shape.height, int(self.memory * _GIB))

    @property
    def store(self) -> Store:
        return Store(self.port, self.bucket, client_for(self.port))


@dataclass
class Clock:
    """Seconds of each part of a way, in order."""

    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class Took:
    """What a run took: seconds in all and of each part, seconds of processors, and bytes of memory and of the file."""

    seconds: float
    parts: dict[str, float]
    cpu: float
    peak: int
    file_size: int


# From latents to the finished file, whose URL is known then.
Tail = Callable[[torch.Tensor, Clock], Path]


def main(
    width: Annotated[int, typer.Option(help="of the picture")] = 1280,
    height: Annotated[int, typer.Option(help="of the picture")] = 704,
    frames: Annotated[int, typer.Option(help="how many")] = 129,
    memory: Annotated[float, typer.Option(help="GiB that our pieces may take")] = 16,
    mbit: Annotated[float, typer.Option(help="of the line to the S3 server, per second")] = 100,
    runs: Annotated[int, typer.Option(help="of each way")] = 3,
) -> None:
    """Prints a row for each way, and the ratios."""
    shape = fitting(LTX, width, height, frames)
    print(f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}, {shape}")
    print(f"{mbit:g} Mbit/s, {runs} runs\n", flush=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        swift(Path(temporary) / "swift") as port,
        FaultProxy(port, bytes_per_second=mbit * 1e6 / 8) as line,
    ):
        folder = Path(temporary)
        alone(save_checkpoint, folder)
        task = Task(folder, shape, line.port, new_bucket(port).name, memory)
        alone(save_frames, task)
        ways: dict[str, Callable[[Task, Any], Tail]] = {"ours": ours}
        if all(importlib.util.find_spec(name) for name in ("imageio", "imageio_ffmpeg")):
            ways = {"diffusers": diffusers, "ours": ours}
            task = replace(task, crf=alone(least_crf, task, alone(measure, diffusers, task)))
        else:
            print("Without imageio and imageio-ffmpeg, diffusers' way is left out.\n")
        took: dict[str, list[Took]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, way in ways.items():
                took[name].append(alone(measure, way, task))
        print("| way | seconds | of which | seconds of cores | peak, MiB | bytes | PSNR, dB |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for name, all_ in took.items():
            print(f"| {' | '.join(row(name, all_, alone(distance, task, name)))} |")
    for (_, theirs), (_, mine) in pairwise(took.items()):
        ratios = [median(mine, one) / median(theirs, one) for one in ("seconds", "cpu", "peak", "file_size")]
        print("\nours : diffusers: {:.2f} seconds, {:.2f} of cores, {:.2f} memory, {:.2f} bytes".format(*ratios))
    print(f"\nour constant rate factor: {task.format.rate_factor}")


def median(runs: list[Took], name: str) -> float:
    middle: float = statistics.median(getattr(run, name) for run in runs)
    return middle


def row(name: str, runs: list[Took], distance: float) -> list[str]:
    parts = [f"{part} {statistics.median(run.parts[part] for run in runs):.2f}" for part in runs[0].parts]
    numbers = [f"{median(runs, 'cpu'):.1f}", f"{median(runs, 'peak') / _MIB:.0f}", f"{runs[-1].file_size}"]
    return [name, f"{median(runs, 'seconds'):.2f}", ", ".join(parts), *numbers, f"{distance:.2f}"]


def ours(task: Task, networks: Any) -> Tail:
    watch = unheard()
    destination = destination_for({"id": uuid.uuid4().hex}, task.store.settings(task.folder), watch)

    def tail(latents: torch.Tensor, clock: Clock) -> Path:
        path, format = task.folder / "ours.mp4", task.format
        pieces = family("ltx").decode(networks, latents, torch.Generator(), watch, task.piece)
        with VideoFile(path, format) as file:
            while True:
                with clock.part("decode"):
                    pixels = next(pieces, None)
                if pixels is None:
                    break
                with clock.part("wait for the encoder"):
                    for frame in to_frames(pixels):
                        file.write(frame)
            with clock.part("wait for the encoder"):
                file.close()
        with clock.part("play"):
            finished = Finished.at(path)
            check_plays(path, format, watch)
        with clock.part("deliver"):
            url = destination.deliver(path, result(format, finished)).video.url
        assert url.startswith("http")
        return path

    return tail


def result(format: VideoFormat, finished: Finished) -> Result:
    """What is delivered with a file."""
    of_file = (format.container, format.codec, format.width, format.height, format.num_frames, format.fps)
    video = Video("", *of_file, format.duration, finished.file_size, finished.sha256, 0, "ltx", "", 1, 1.0, False)
    return Result("ours", VideoRequest(api="native", prompt="-"), video, {}, 0.0, 0.0)


def diffusers(task: Task, networks: Any) -> Tail:
    vae = AutoencoderKLLTXVideo.from_pretrained(task.folder / "vae")
    processor, store = VideoProcessor(vae_scale_factor=vae.spatial_compression_ratio), task.store

    def tail(latents: torch.Tensor, clock: Clock) -> Path:
        path = task.folder / "diffusers.mp4"
        with clock.part("decode"), torch.inference_mode():
            mean, deviation = (one.view(1, -1, 1, 1, 1) for one in (vae.latents_mean, vae.latents_std))
            video = vae.decode(latents.transpose(1, 2) * deviation / vae.config.scaling_factor + mean).sample
        with clock.part("export"):
            export_to_video(processor.postprocess_video(video)[0], str(path), fps=LTX.fps)
        with clock.part("upload"):
            store.client.upload_file(str(path), store.name, "diffusers.mp4")
            store.client.generate_presigned_url("get_object", Params={"Bucket": store.name, "Key": "diffusers.mp4"})
        return path

    return tail


def measure(way: Callable[[Task, Any], Tail], task: Task) -> Took:
    keep_no_freed_blocks()
    tail, latents = way(task, load(task)), slow_latents(task.shape)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    before, clock, cpu, started = of_this_process("VmHWM"), Clock(), os.times(), time.perf_counter()
    path = tail(latents, clock)
    seconds, peak, now = time.perf_counter() - started, of_this_process("VmHWM") - before, os.times()
    return Took(seconds, clock.parts, sum(now[:4]) - sum(cpu[:4]), peak, path.stat().st_size)


def save_checkpoint(folder: Path) -> None:
    """The small one, but what its last layer makes of a place is as even as a trained one's, and no noise."""
    tiny.save(LTX, folder)
    vae = AutoencoderKLLTXVideo.from_pretrained(folder / "vae")
    for weights in vae.decoder.conv_out.conv.parameters():
        by_colour = weights.data.unflatten(0, (3, -1))
        by_colour.copy_(by_colour.mean(1, keepdim=True).expand_as(by_colour))
    vae.save_pretrained(folder / "vae")


def load(task: Task) -> Any:
    dtypes = {component.name: torch.float32 for component in LTX.checkpoint.components}
    return family("ltx").load(Reader(task.folder, torch.device("cpu"), dtypes, places=LTX.checkpoint.places))


def slow_latents(shape: Shape) -> torch.Tensor:
    """[1, T, C, h, w]"""
    sizes = [LTX.latent_frames(shape.num_frames), shape.height // LTX.grid, shape.width // LTX.grid]
    noise = torch.randn((1, 8, *(size // _SLOWLY + 1 for size in sizes)), generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, size=sizes, mode="trilinear").transpose(1, 2)


def save_frames(task: Task) -> None:
    """The clip's frames, as they are before any encoding."""
    watch, latents = unheard(), slow_latents(task.shape)
    with (task.folder / "frames").open("wb") as file:
        for pixels in family("ltx").decode(load(task), latents, torch.Generator(), watch, task.piece):
            file.write(to_frames(pixels).tobytes())


def frames_of(task: Task) -> Frames:
    shape = (task.shape.num_frames, task.shape.height, task.shape.width, 3)
    return np.memmap(task.folder / "frames", np.uint8, "r", shape=shape)


def least_crf(task: Task, theirs: Took) -> int:
    """The least constant rate factor whose file has no more bytes than theirs."""
    low, high = CRF_RANGE["mp4"]
    while low < high:
        middle = (low + high) // 2
        path = task.folder / "tried.mp4"
        with VideoFile(path, replace(task, crf=middle).format) as file:
            for frame in frames_of(task):
                file.write(frame)
            file.close()
        low, high = (low, middle) if path.stat().st_size <= theirs.file_size else (middle + 1, high)
    return low


def distance(task: Task, name: str) -> float:
    """PSNR of a way's file, in dB, read in the colours in which it was written: FFmpeg's default is BT.601."""
    colours = Colorspace.ITU709 if name == "ours" else Colorspace.ITU601
    with av.open(task.folder / f"{name}.mp4") as source:
        made = [frame.reformat(format="rgb24", src_colorspace=colours).to_ndarray() for frame in source.decode(video=0)]
    return psnr(np.stack(made), frames_of(task))


if __name__ == "__main__":
    typer.run(main)

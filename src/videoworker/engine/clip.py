"""How the frames of a clip are made: segment by segment, each from its prompt to its decoded frames."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from videoworker.canvas import Frames, Picture, scaled
from videoworker.engine.device import Loaded
from videoworker.families.family import Conditioning, Networks
from videoworker.models.piece import Piece
from videoworker.models.video_model import Rgb
from videoworker.planning.plan import Plan
from videoworker.sampling.denoise import Inputs, Start, denoise
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.pixels import to_frames
from videoworker.sampling.step_cache import cached
from videoworker.watch import Watch


@dataclass(frozen=True)
class Clip:
    """What is to be seen in a clip, which its plan does not say. `first_frame` has the size that is decoded; None if
    the clip is made from text alone."""

    prompt: str
    negative_prompt: str
    first_frame: Picture | None
    seed: int

    def prompts(self, guidance_scale: float) -> tuple[str, ...]:
        """The prompts to encode: the prompt, and before it the negative one if there is guidance."""
        return (self.negative_prompt, self.prompt) if guidance_scale > 1 else (self.prompt,)


@dataclass(frozen=True)
class Making:
    """Segment `index` of the plan, and what it is made from.

    `known` are its first frames, of the size that is decoded, if it continues from some. `generator` is the clip's.
    Every segment draws from it in turn. So much of it is decoded at once as `piece` says.
    """

    plan: Plan
    index: int
    prompts: tuple[str, ...]
    known: Frames | None
    generator: torch.Generator
    piece: Piece


def segment_frames(
    loaded: Loaded[Networks, Conditioning], making: Making, watch: Watch
) -> Generator[Picture, None, Frames | None]:
    """Yields the frames of a segment that go to the file, at the size that is decoded. Returns the frames that the next
    segment continues from. Raises `JobError`."""
    plan, segment = making.plan, making.plan.segments[making.index]
    last_segment = making.index + 1 == len(plan.segments)
    watch = watch.segment(making.index, len(plan.segments))
    pieces = _decoded(loaded, _latents(loaded, making, watch), making, watch)
    overlap = 0 if last_segment else plan.segments[making.index + 1].overlap
    latest: list[Picture] = []
    end = segment.overlap + segment.kept
    for number, frame in enumerate(pieces):
        if number >= end:
            break
        if overlap:
            latest = [*latest, frame][-overlap:]
        if number >= segment.overlap:
            yield frame
    return np.stack(latest) if latest else None


def _latents(loaded: Loaded[Networks, Conditioning], making: Making, watch: Watch) -> torch.Tensor:
    family, plan = loaded.family, making.plan
    with watch.stage("encode_prompt"):
        known = None if making.known is None else scaled(making.known, plan.canvas)
        picture = None if known is None or not family.describes_image else known[0]
        prompts, cut = loaded.encode(making.prompts, picture)
    if cut:
        watch.note(f"The model read the prompt without its last {cut} tokens, which do not fit.")
    if making.index == 0:
        watch.step("encode_prompt", 1, 1)
    with watch.stage("denoise"):
        return _denoised(loaded, making, prompts, watch)


def _denoised(
    loaded: Loaded[Networks, Conditioning], making: Making, prompts: tuple[Conditioning, ...], watch: Watch
) -> torch.Tensor:
    """The segment's latents at the size that is decoded, after all courses of the plan."""
    family, networks, plan = loaded.family, loaded.networks, making.plan
    steps, rgb = [sampling.steps for _, sampling in plan.courses], plan.model_of(making.index).rgb
    inputs = _inputs(loaded, making, prompts, 0)
    latents = _course(family.start(networks, inputs), inputs, watch.course(0, sum(steps[1:])), rgb)
    if plan.super_resolution is None or family.enlarge is None:
        return latents
    inputs = _inputs(loaded, making, prompts, 1)
    return _course(family.enlarge(networks, inputs, latents), inputs, watch.course(steps[0], 0), rgb)


def _inputs(
    loaded: Loaded[Networks, Conditioning], making: Making, prompts: tuple[Conditioning, ...], course: int
) -> Inputs[Conditioning]:
    """Of a course of the plan, by its number. The noise is drawn now."""
    family, networks, (canvas, sampling) = loaded.family, loaded.networks, making.plan.courses[course]
    shape = Shape(making.plan.segments[making.index].num_frames, canvas.native_width, canvas.native_height)
    noise = family.get_noise(networks, shape, making.generator)
    frames = None if making.known is None else scaled(making.known, canvas)
    known = None if frames is None or family.encode_frames is None else family.encode_frames(networks, frames)
    return Inputs(noise, prompts, known, sampling, making.generator, frames)


def _course(start: Start[Any], inputs: Inputs[Any], watch: Watch, rgb: Rgb) -> torch.Tensor:
    """The latents at its end. Of the known frames, the model's own version is less exact than theirs."""
    latents = denoise(cached(start, inputs.sampling.calls), watch, rgb)
    known = inputs.known
    return latents if known is None else torch.cat([known, latents[:, known.shape[1] :]], dim=1)


def _decoded(
    loaded: Loaded[Networks, Conditioning], latents: torch.Tensor, making: Making, watch: Watch
) -> Iterator[Picture]:
    """The frames of `latents`, one by one. The time spent on making them counts as decoding."""
    pieces = loaded.family.decode(loaded.networks, latents, making.generator, watch, making.piece)
    while True:
        with watch.stage("decode"):
            pixels = next(pieces, None)
            frames = None if pixels is None else to_frames(pixels)
        if frames is None:
            return
        yield from frames

"""How the frames of a clip are made: segment by segment, each from its prompt to its decoded frames."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from videoworker.canvas import Frames, Picture
from videoworker.engine.device import Loaded
from videoworker.families.family import Conditioning, Networks
from videoworker.planning.plan import Plan
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.pixels import to_frames
from videoworker.sampling.step_cache import cached
from videoworker.watch import Watch


@dataclass(frozen=True)
class Clip:
    """What is to be seen in a clip, which its plan does not say. `first_frame` has the native size; None if the clip is
    made from text alone."""

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

    `known` are its first frames, if it continues from some. `generator` is the clip's. Every segment draws from it in
    turn.
    """

    plan: Plan
    index: int
    prompts: tuple[str, ...]
    known: Frames | None
    generator: torch.Generator


def segment_frames(
    loaded: Loaded[Networks, Conditioning], making: Making, watch: Watch
) -> Generator[Picture, None, Frames | None]:
    """Yields the frames of a segment that go to the file, at the native size. Returns the frames that the next segment
    continues from. Raises `JobError`."""
    plan, segment = making.plan, making.plan.segments[making.index]
    last_segment = making.index + 1 == len(plan.segments)
    watch = watch.segment(making.index, len(plan.segments))
    pieces = _decoded(loaded, _latents(loaded, making, watch), making.generator, watch)
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
    family, networks, plan = loaded.family, loaded.networks, making.plan
    with watch.stage("encode_prompt"):
        picture = None if making.known is None or not family.describes_image else making.known[0]
        prompts, cut = loaded.encode(making.prompts, picture)
    if cut:
        watch.note(f"The model read the prompt without its last {cut} tokens, which do not fit.")
    if making.index == 0:
        watch.step("encode_prompt", 1, 1)
    with watch.stage("denoise"):
        shape = Shape(plan.segments[making.index].num_frames, plan.canvas.native_width, plan.canvas.native_height)
        noise = family.get_noise(networks, shape, making.generator)
        known = None
        if making.known is not None and family.encode_frames is not None:
            known = family.encode_frames(networks, making.known)
        inputs = Inputs(noise, prompts, known, plan.sampling, making.generator, making.known)
        start = cached(family.start(networks, inputs), plan.sampling.calls)
        latents = denoise(start, watch, plan.model_of(making.index).rgb)
        if known is not None:  # the model's own version of them is less exact
            latents = torch.cat([known, latents[:, known.shape[1] :]], dim=1)
    return latents


def _decoded(
    loaded: Loaded[Networks, Conditioning], latents: torch.Tensor, generator: torch.Generator, watch: Watch
) -> Iterator[Picture]:
    """The frames of `latents`, one by one. The time spent on making them counts as decoding."""
    pieces = loaded.family.decode(loaded.networks, latents, generator, watch)
    while True:
        with watch.stage("decode"):
            pixels = next(pieces, None)
            frames = None if pixels is None else to_frames(pixels)
        if frames is None:
            return
        yield from frames

"""A sound as the engine makes it: the published code's numbers, the video's length, one part at a time, stoppable."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pytest
import torch

from builder.tiny import foley as tiny
from tests.families.foley import parity
from tests.families.foley.parity import CLOSE, Tensors
from tests.families.running import CPU, reader
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families.foley import SOUND_FAMILY
from videoworker.families.foley.codec import CONTEXT
from videoworker.families.foley.family import Decoder, Denoiser, decode, start
from videoworker.families.foley.features import Seen, Sides, Viewer
from videoworker.families.foley.windows import windows
from videoworker.families.sound_family import Footage, Hearing, Wanted, waveform
from videoworker.models.foley import FOLEY_XXL
from videoworker.models.sampling import Sampling
from videoworker.models.sound_model import Part
from videoworker.request import Progress
from videoworker.sampling.denoise import denoise
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch

SAMPLING = Sampling(steps=2, guidance_scale=4.5)
LOUD = Sampling(steps=2, guidance_scale=2.0)
PROMPTS = "noisy, harsh", "a bell"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[Part, Any]:
    folder = tmp_path_factory.mktemp("weights") / "foley"
    tiny.save(folder, "xxl")
    return {part: SOUND_FAMILY.load(reader(folder), part) for part in Part}


def sound_of(
    use: Callable[[Part], Any],
    footage: Footage,
    sampling: Sampling = SAMPLING,
    prompts: tuple[str, str] = PROMPTS,
    watch: Watch | None = None,
) -> torch.Tensor:
    """The waveform for a video of noise."""
    sides = Sides(picture=32, motion=32)
    with TemporaryFile() as file:
        viewer = Viewer(sides, windows(footage), file)
        generator = np.random.default_rng(0)
        for _ in range(footage.num_frames):
            viewer.see(generator.integers(0, 256, (18, 32, 3), dtype=np.uint8))
        wanted = Wanted(footage, prompts, sampling, seed=3)
        return waveform(SOUND_FAMILY, use, viewer, wanted, watch or watch_that())


def footage(seconds: float) -> Footage:
    return Footage(round(24 * seconds), Fraction(24))


@pytest.fixture(scope="module")
def recorded() -> Tensors:
    return parity.tensors("sampling")


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Denoiser:
    weights = parity.after("dit.", parity.tensors("sampling_transformer"))
    return Denoiser(parity.transformer(weights, tmp_path_factory.mktemp("transformer")), CPU, torch.float32)


def hearing_of(transformer: Denoiser, recorded: Tensors) -> Hearing:
    return Hearing(
        networks=transformer,
        footage=Footage(50, Fraction(25)),
        seen=[Seen(recorded["clip_feat"][0], recorded["sync_feat"][0])],
        texts=recorded["text"],
        noise=recorded["noise"],
        sampling=Sampling(steps=8, guidance_scale=4.5),
        watch=watch_that(),
    )


def test_the_published_codes_numbers(transformer: Denoiser, recorded: Tensors, tmp_path: Path) -> None:
    """Of the whole loop, and of the samples that become of its latents."""
    latents = denoise(start(hearing_of(transformer, recorded)), watch_that())
    assert (latents - recorded["latents"]).abs().max() < CLOSE
    codec = parity.codec(parity.after("weights.", parity.tensors("codec")), tmp_path)
    made = torch.cat(list(decode(Decoder(codec, CPU), latents)), dim=1)
    assert (made - recorded["audio"][:, 0]).abs().max() < CLOSE


def test_a_missing_sync_embedding_would_be_seen(recorded: Tensors, tmp_path: Path) -> None:
    weights = parity.after("dit.", parity.tensors("sampling_transformer"))
    network = parity.transformer(weights, tmp_path)
    network.sync_pos_emb.data.zero_()
    latents = denoise(start(hearing_of(Denoiser(network, CPU, torch.float32), recorded)), watch_that())
    assert (latents - recorded["latents"]).abs().max() > 100 * CLOSE


@pytest.mark.parametrize("clip", [Footage(1, Fraction(24)), footage(0.5), Footage(151, Fraction(30000, 1001))])
def test_as_long_as_the_video(parts: dict[Part, Any], clip: Footage) -> None:
    wave = sound_of(parts.__getitem__, clip, Sampling(1, 4.5))
    assert wave.dtype == torch.float32
    assert wave.shape == (1, round(clip.num_frames / float(clip.fps) * 48_000))
    assert wave.abs().max() <= 1 and wave.std() > 0.01


def test_the_same_again(parts: dict[Part, Any]) -> None:
    first, second = (sound_of(parts.__getitem__, footage(1)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("changed", [{"prompts": ("noisy, harsh", "")}, {"sampling": Sampling(2, 1.0)}])
def test_what_is_asked_for_is_heard(parts: dict[Part, Any], changed: dict[str, Any]) -> None:
    """An empty prompt makes a sound of its own, and so does a prompt without guidance."""
    made = sound_of(parts.__getitem__, footage(1), **changed)
    assert not torch.allclose(made, sound_of(parts.__getitem__, footage(1)), atol=0.01)


def test_in_16_bits(tmp_path: Path, parts: dict[Part, Any]) -> None:
    """In the declared dtypes, as on a GPU: the same sound but for what they round. Another prompt changes it more."""
    tiny.save(tmp_path / "foley", "xxl")
    dtypes = {one.name: getattr(torch, one.dtype) for one in FOLEY_XXL.checkpoint.components}
    narrow = Reader(tmp_path / "foley", CPU, dtypes)
    made = sound_of(lambda part: SOUND_FAMILY.load(narrow, part), footage(1), LOUD)
    wide = sound_of(parts.__getitem__, footage(1), LOUD)
    other = sound_of(parts.__getitem__, footage(1), LOUD, ("noisy, harsh", "a dog"))
    assert (made - wide).std() < 0.3 * (other - wide).std()


@contextmanager
def shapes_seen(network: torch.nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """The shape of each tensor that the network is called with first."""
    shapes: list[tuple[int, ...]] = []

    def note(_: torch.nn.Module, positional: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> None:
        shapes.append(tuple((*positional, *named.values())[0].shape))

    handle = network.register_forward_pre_hook(note, with_kwargs=True)
    yield shapes
    handle.remove()


def test_without_guidance_the_negative_prompt_is_not_run(parts: dict[Part, Any]) -> None:
    with shapes_seen(parts[Part.TRANSFORMER].transformer) as shapes:
        sound_of(parts.__getitem__, footage(1), Sampling(2, 1.0))
    assert shapes == [(1, tiny.LATENT_CHANNELS, 50)] * 2


@pytest.mark.parametrize(("seconds", "latents"), [(5, [250]), (12, [400] * 2), (30, [400] * 5)])
def test_a_longer_sound_needs_no_more_memory(parts: dict[Part, Any], seconds: float, latents: list[int]) -> None:
    """Networks see as much of it at once as of a shorter one. It is as long as its video."""
    extractors = parts[Part.EXTRACTORS]
    with (
        shapes_seen(extractors.image_encoder) as pictures,
        shapes_seen(extractors.synchformer) as segments,
        shapes_seen(parts[Part.TRANSFORMER].transformer) as denoised,
        shapes_seen(parts[Part.DECODER].codec) as decoded,
    ):
        wave = sound_of(parts.__getitem__, footage(seconds), Sampling(1, 4.5))
    assert wave.shape == (1, 48_000 * seconds) and wave.abs().max() <= 1 and wave.std() > 0.01
    assert max(pictures) == (8, 3, 32, 32) and max(segments) == (4, 3, 16, 32, 32)
    assert denoised == [(2, tiny.LATENT_CHANNELS, length) for length in latents]
    assert max(shape[2] for shape in decoded) <= 200 + 2 * CONTEXT


def test_one_part_at_a_time(tmp_path: Path) -> None:
    """Nothing holds a part when the next is asked for."""
    tiny.save(tmp_path / "foley", "xl")
    given = list[weakref.ref[Any]]()

    def use(part: Part) -> Any:
        assert [one() for one in given] == [None] * len(given)
        loaded = SOUND_FAMILY.load(reader(tmp_path / "foley"), part)
        given.append(weakref.ref(loaded))
        return loaded

    assert sound_of(use, footage(0.5)).shape == (1, 24_000)
    assert len(given) == len(Part)


def test_steps_are_reported(parts: dict[Part, Any]) -> None:
    reports: list[Progress] = []
    sound_of(parts.__getitem__, footage(1), watch=watch_that(reports.append))
    assert [(report.step, report.steps) for report in reports] == [(1, 2), (2, 2)]


def test_a_cancel_inside_a_step_stops_within_it(parts: dict[Part, Any]) -> None:
    """The block that runs is the last one, though there are more windows and more steps."""
    watch, ran = watch_that(), list[str]()
    network = parts[Part.TRANSFORMER].transformer
    first, second = network.single_blocks

    def cancel(*_: Any) -> None:
        ran.append("first")
        watch.cancel.set()

    handles = first.register_forward_hook(cancel), second.register_forward_hook(lambda *_: ran.append("second"))
    with pytest.raises(JobError) as caught:
        sound_of(parts.__getitem__, footage(12), watch=watch)
    for handle in handles:
        handle.remove()
    assert caught.value.code is Code.CANCELLED
    assert ran == ["first"]


def test_a_cancel_between_pieces_of_the_wave(parts: dict[Part, Any]) -> None:
    watch = watch_that()
    handle = parts[Part.DECODER].codec.register_forward_hook(lambda *_: watch.cancel.set())
    with shapes_seen(parts[Part.DECODER].codec) as decoded, pytest.raises(JobError) as caught:
        sound_of(parts.__getitem__, footage(12), watch=watch)
    handle.remove()
    assert caught.value.code is Code.CANCELLED
    assert len(decoded) == 1


def test_a_long_prompt_is_noted(parts: dict[Part, Any]) -> None:
    watch = watch_that()
    sound_of(parts.__getitem__, footage(0.5), prompts=("noisy, harsh", "a" * 90), watch=watch)
    assert watch.notes == ("The sound model read the prompt without its last 15 tokens, which do not fit.",)

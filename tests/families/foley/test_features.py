"""What the encoders see of a streamed video, and that memory does not grow with it."""

import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import ClapTextModel, SiglipImageProcessorPil, SiglipVisionModel

from builder.tiny import foley as tiny
from tests.families.running import reader
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families.foley.family import load, view
from videoworker.families.foley.features import Extractors, Seen, Sides, Viewer, cropped, extract, read_texts, squashed
from videoworker.families.foley.windows import windows
from videoworker.families.sound_family import Footage
from videoworker.models.sound_model import Part
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("weights") / "foley"
    tiny.save(folder, "xxl")
    return reader(folder)


@pytest.fixture(scope="module")
def extractors(weights: Reader) -> Extractors:
    loaded = load(weights, Part.EXTRACTORS)
    assert isinstance(loaded, Extractors)
    return loaded


def frame(number: int, height: int = 40, width: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seen(
    extractors: Extractors,
    footage: Footage,
    show: Callable[[int], NDArray[np.uint8]] = frame,
    watch: Watch | None = None,
) -> tuple[Seen, ...]:
    sides = Sides(extractors.image_encoder.config.image_size, extractors.synchformer.config.image_size)
    with TemporaryFile() as file:
        viewer = Viewer(sides, windows(footage), file)
        for number in range(footage.num_frames):
            viewer.see(show(number))
        return extract(extractors, viewer, watch or watch_that())


def test_sides_are_the_encoders(weights: Reader, extractors: Extractors) -> None:
    with TemporaryFile() as file:
        viewer = view(weights, Footage(24, Fraction(24)), file)
        viewer.see(frame(0))
        assert viewer.pictures([0]).shape == (1, *2 * [extractors.image_encoder.config.image_size], 3)
        assert viewer.motion([[0, 0]]).shape == (1, 2, *2 * [extractors.synchformer.config.image_size], 3)


@pytest.mark.parametrize(("height", "width"), [(48, 80), (480, 832), (33, 17)])
def test_a_picture_is_squashed_as_the_encoders_processor_does(height: int, width: int) -> None:
    picture = frame(1, height, width)
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32}, resample=Image.Resampling.BILINEAR)
    theirs = processor(Image.fromarray(picture), return_tensors="np").pixel_values[0]
    ours = squashed(picture, 32).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(480, 832), (832, 480), (225, 400), (100, 100)])
def test_a_picture_is_cropped_to_its_middle(height: int, width: int) -> None:
    """Beside Pillow's bicubic filter, which rounds between the two directions."""
    picture = np.array(Image.fromarray(frame(1, 9, 16)).resize((width, height), Image.Resampling.BICUBIC))
    scaled = 224 * width // min(height, width), 224 * height // min(height, width)
    left, top = (round((side - 224) / 2) for side in scaled)
    theirs = Image.fromarray(picture).resize(scaled, Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))
    ours = cropped(picture, 224)
    assert ours.shape == (224, 224, 3)
    assert np.abs(ours.astype(int) - np.asarray(theirs).astype(int)).max() <= 2


@torch.inference_mode()
def test_features_are_those_of_their_frames(extractors: Extractors) -> None:
    """Of each window, in batches that do not change them: the last picture and the last segment, made alone."""
    footage = Footage(12 * 24, Fraction(24))
    last, of_last = windows(footage)[-1], seen(extractors, footage)[-1]
    assert (of_last.visual.shape, of_last.sync.shape) == ((64, 24), (24 * 8, 64))
    picture = torch.tensor(squashed(frame(last.pictures[-1]), 32)).permute(2, 0, 1)[None] / 127.5 - 1
    torch.testing.assert_close(of_last.visual[-1:], extractors.image_encoder(picture).pooler_output)
    segment = torch.from_numpy(np.stack([cropped(frame(number), 32) for number in last.segments[-1]]))
    motion = extractors.synchformer(segment.permute(3, 0, 1, 2)[None] / 127.5 - 1)[0]
    torch.testing.assert_close(of_last.sync[-8:], motion, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("frames", "fps"), [(1, 24), (9, 25), (12, 24), (4, 6)])
def test_clips_under_a_segment_have_features(extractors: Extractors, frames: int, fps: int) -> None:
    (made,) = seen(extractors, Footage(frames, Fraction(fps)))
    assert made.sync.shape == (8, 64) and len(made.visual) >= 1


def test_memory_does_not_grow(extractors: Extractors) -> None:
    """Pictures of 30 seconds take no more than those of 5."""

    def peak(seconds: int) -> int:
        held = frame(0)
        tracemalloc.start()
        seen(extractors, Footage(8 * seconds, Fraction(8)), lambda _: held)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(5)
    assert peak(30) < 1.5 * peak(5)


def test_a_cancel_while_pictures_are_encoded(extractors: Extractors) -> None:
    watch, encoded = watch_that(), list[int]()

    def cancel(*_: object) -> None:
        encoded.append(1)
        watch.cancel.set()

    handle = extractors.image_encoder.register_forward_hook(cancel)
    with pytest.raises(JobError) as caught:
        seen(extractors, Footage(240, Fraction(24)), watch=watch)
    handle.remove()
    assert caught.value.code is Code.CANCELLED
    assert len(encoded) == 1


def test_texts_are_padded_together_and_cut(extractors: Extractors) -> None:
    """The longer text decides how many tokens the shorter one has. 77 of a long text are kept."""
    both, cut = read_texts(extractors, ("noisy, harsh", "ab"))
    assert both.shape == (2, len("noisy, harsh") + 2, 16) and cut == 0
    long, cut = read_texts(extractors, ("noisy, harsh", "a" * 90))
    assert long.shape[1] == 77 and cut == 90 + 2 - 77
    longer, cut = read_texts(extractors, ("noisy, harsh", "a" * 1000))
    assert longer.shape[1] == 77 and cut == 1000 + 2 - 77


def test_padding_does_not_change_the_tokens_before_it(extractors: Extractors) -> None:
    alone, _ = read_texts(extractors, ("ab",))
    padded, _ = read_texts(extractors, ("ab", "noisy, harsh"))
    torch.testing.assert_close(padded[0, : alone.shape[1]], alone[0])


def test_an_empty_text_has_states(extractors: Extractors) -> None:
    states, cut = read_texts(extractors, ("noisy, harsh", ""))
    assert states.isfinite().all() and cut == 0


def test_nothing_is_missing_in_the_converted_encoders(tmp_path: Path) -> None:
    tiny.save(tmp_path / "foley", "xxl")
    for kind, name in ((ClapTextModel, "text_encoder"), (SiglipVisionModel, "image_encoder")):
        _, told = kind.from_pretrained(tmp_path / "foley" / name, output_loading_info=True)
        assert not told["missing_keys"] and not told["unexpected_keys"]

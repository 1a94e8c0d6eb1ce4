"""Which placement which model gets on which GPU, and what is said where there is none."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from tests.variants import ALL_VARIANTS, EVERY_VARIANT
from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint, Component, Role
from videoworker.models.mochi import MOCHI
from videoworker.models.piece import LEAST, Piece
from videoworker.models.sampling import CACHED_TENSORS
from videoworker.models.video_model import VideoModel
from videoworker.planning.memory import GIB
from videoworker.planning.placement import (
    LADDER,
    Placement,
    WeightBytes,
    activations,
    allowed,
    best_placement,
    declared_bytes,
    default_activations,
    ladder,
    largest_piece,
    leaner,
    needed,
    on_processor,
)
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest

# GiB that are free on an empty card of so many GB, as its driver reports them.
CARDS = {16: 15.6, 24: 23.5, 48: 47.4, 80: 79.1, 141: 139.7}

ALL, TEXT, ONE, GROUPS, FP8 = LADDER

TWO_DENOISERS = Checkpoint(
    model="made-up",
    folder="made-up",
    repository="",
    licence="Apache-2.0",
    pipeline="MadeUpPipeline",
    components=(
        Component("text_encoder", Role.TEXT_ENCODER, "bfloat16", 4),
        Component("prompt_reader", Role.TEXT_ENCODER, "float16", 2),
        Component("image_encoder", Role.IMAGE_ENCODER, "bfloat16", 2),
        Component("transformer", Role.DENOISER, "bfloat16", 20),
        Component("transformer_2", Role.DENOISER, "bfloat16", 22),
        Component("vae", Role.AUTOENCODER, "float32", 16),
        Component("upscaler", Role.AUTOENCODER, "float32", 4, dtype="float32"),
    ),
)


def model(folder: str) -> VideoModel:
    return next(model for model in ALL_VARIANTS if model.checkpoint.folder == folder)


def activations_of(
    model: VideoModel, width: int | None = None, height: int | None = None, frames: int | None = None
) -> int:
    image = "x" if model.needs_image else None
    request = VideoRequest(api="native", prompt="a cat", image=image, width=width, height=height, num_frames=frames)
    return activations(plan_clip(request, model))


# Each model's own default size and length.
@pytest.mark.parametrize(
    ("folder", "placements"),
    [
        # 41 GB of weights and 11 GiB beside them at 720p: all on 80 GB, without the text encoder on 48 GB
        ("hunyuanvideo", (None, GROUPS, TEXT, ALL, ALL)),
        # 34 GB and 11 GiB: the decoder alone is nearly too much for 16 GB
        ("hunyuanvideo-1.5", (None, GROUPS, ALL, ALL, ALL)),
        ("hunyuanvideo-1.5-480p-t2v", (GROUPS, GROUPS, ALL, ALL, ALL)),
        # 31 GB and 6 GiB
        ("mochi", (GROUPS, GROUPS, ALL, ALL, ALL)),
        # of 15 GB nearly 10 are the text encoder's
        ("ltx", (TEXT, ALL, ALL, ALL, ALL)),
        # 13 and 21 GB, and 7 GiB to decode
        ("cogvideox", (TEXT, ALL, ALL, ALL, ALL)),
        ("cogvideox-5b", (GROUPS, TEXT, ALL, ALL, ALL)),
        # 20 GiB to decode, wherever the weights are
        ("cogvideox-1.5-5b", (None, None, ALL, ALL, ALL)),
        # 24 GB, and 12 GiB to decode in float32
        ("wan", (None, GROUPS, ALL, ALL, ALL)),
        # two transformers of 29 GB each, and 12 GiB to decode in float32
        ("wan-t2v-a14b", (None, GROUPS, ONE, ALL, ALL)),
        ("wan-i2v-a14b", (None, GROUPS, ONE, ALL, ALL)),
        ("sketch", (ALL, ALL, ALL, ALL, ALL)),
    ],
)
def test_the_placement_of_a_models_default_clip_on_each_card(
    folder: str, placements: tuple[Placement | None, ...]
) -> None:
    declared = model(folder)
    weights, beside = declared_bytes(declared.checkpoint), activations_of(declared)
    found: list[Placement | None] = []
    for card in CARDS.values():
        try:
            found.append(best_placement(weights, beside, round(card * GIB)))
        except JobError:
            found.append(None)
    assert tuple(found) == placements


@pytest.mark.parametrize("declared", EVERY_VARIANT)
@pytest.mark.parametrize("card", CARDS.values())
def test_what_is_chosen_fits_and_nothing_faster_does(declared: VideoModel, card: float) -> None:
    weights, beside, free = declared_bytes(declared.checkpoint), activations_of(declared), round(card * GIB)
    fitting = [placement for placement in LADDER if needed(weights, beside, placement) <= free]
    if fitting:
        assert best_placement(weights, beside, free) == fitting[0]
    else:
        with pytest.raises(JobError):
            best_placement(weights, beside, free)


@pytest.mark.parametrize("declared", EVERY_VARIANT)
def test_each_placement_needs_less_than_the_one_before(declared: VideoModel) -> None:
    assert declared.denoise_bytes and declared.decode_bytes  # every model that runs says what it costs
    weights, beside = declared_bytes(declared.checkpoint), activations_of(declared)
    bytes_needed = [needed(weights, beside, placement) for placement in ladder(declared.checkpoint)]
    assert bytes_needed == sorted(set(bytes_needed), reverse=True)
    assert bytes_needed[0] > weights.total + beside


def test_a_longer_clip_and_a_larger_picture_need_more() -> None:
    hunyuanvideo = model("hunyuanvideo")
    sizes = [(512, 320, 33), (512, 320, 129), (960, 544, 129), (1280, 720, 129)]
    needs = [activations_of(hunyuanvideo, *size) for size in sizes]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(needs))


def test_a_clip_in_segments_needs_what_its_longest_segment_needs() -> None:
    ltx = model("ltx")
    longest = activations_of(ltx, frames=ltx.max_frames)
    assert activations_of(ltx, frames=ltx.max_frames * 3) == longest


def test_too_little_memory_is_an_error_with_both_numbers() -> None:
    weights = WeightBytes(encoders=10 * GIB, denoisers=(20 * GIB,), autoencoder=1 * GIB)
    with pytest.raises(JobError) as caught:
        best_placement(weights, 6 * GIB, 8 * GIB)
    error = caught.value
    assert error.code is Code.OUT_OF_MEMORY
    least = needed(weights, 6 * GIB, FP8) / GIB
    assert f"at least {least:.1f} GiB" in error.message and "8.0 GiB are free" in error.message
    assert "Reduce resolution or duration" in error.message


def test_a_processor_maps_what_does_not_fit() -> None:
    """HunyuanVideo's clip of its document, on that document's machine of 32 GB."""
    weights, free = declared_bytes(model("hunyuanvideo").checkpoint), 30 * 10**9
    beside = activations_of(model("hunyuanvideo"), 480, 368, 61)
    chosen = best_placement(weights, beside, free, on_processor(LADDER), "memory")
    assert chosen is Placement.MAPPED
    assert weights.total + beside > free and needed(weights, beside, chosen) < free / 2
    assert best_placement(weights, beside, 64 * 10**9, on_processor(LADDER), "memory") is Placement.RESIDENT
    assert on_processor(LADDER[2:]) == (Placement.MAPPED,)  # to save memory, where a GPU would too
    with pytest.raises(JobError, match=r"^Out of memory: .* at least .* GiB, .* 2\.0 GiB are free"):
        best_placement(weights, beside, 2 * GIB, on_processor(LADDER), "memory")


def test_the_first_that_fits_among_those_that_are_allowed() -> None:
    weights, plenty = WeightBytes(10 * GIB, (20 * GIB,), 1 * GIB), 1000 * GIB
    assert [best_placement(weights, GIB, plenty, LADDER[first:]) for first in range(len(LADDER))] == list(LADDER)
    tight = needed(weights, GIB, GROUPS)
    assert best_placement(weights, GIB, tight, LADDER[1:]) is GROUPS


@pytest.mark.parametrize(
    ("asked", "placements"),
    [
        ({}, LADDER),
        ({"low_vram": True}, (GROUPS, FP8)),
        ({"effort": "exact"}, LADDER[:-1]),
        ({"effort": "exact", "low_vram": True}, (GROUPS,)),
        ({"effort": "fast"}, LADDER),
    ],
)
def test_allowed(asked: dict[str, Any], placements: tuple[Placement, ...]) -> None:
    """To save memory a clip may be made in more time, and `exact` never with rounded weights."""
    plan = plan_clip(VideoRequest("native", "a cat", **asked), MOCHI)
    assert allowed(plan) == placements
    with pytest.raises(JobError, match=r"at least .* GiB") as caught:
        best_placement(WeightBytes(GIB, (20 * GIB,), GIB), GIB, GIB, allowed(plan))
    least = needed(WeightBytes(GIB, (20 * GIB,), GIB), GIB, placements[-1])
    assert f"at least {least / GIB:.1f} GiB" in caught.value.message


@pytest.mark.parametrize(
    "declared", [one for one in ALL_VARIANTS if "fast" in one.efforts], ids=lambda one: one.checkpoint.folder
)
def test_the_cache_of_fast_is_counted(declared: VideoModel) -> None:
    """Its tensors have at most 0.25 bytes for each pixel of the clip."""
    roomy = replace(declared, decode_bytes=0.0)
    image = "x" if declared.needs_image else None
    beside = {
        effort: activations(plan_clip(VideoRequest("native", "a cat", image=image, effort=effort), roomy))
        for effort in roomy.efforts
    }
    pixels = declared.default_width * declared.default_height * declared.default_frames
    assert beside["exact"] == beside["full"]
    assert 1 <= (beside["fast"] - beside["full"]) / (CACHED_TENSORS * 0.25 * pixels) < 1.4


def test_the_ladder_ends_and_only_its_end_changes_the_video() -> None:
    assert [leaner(placement, TWO_DENOISERS) for placement in LADDER] == [*LADDER[1:], None]
    assert [placement.is_exact for placement in LADDER] == [True, True, True, True, False]


def test_one_denoiser_at_a_time_is_a_rung_of_checkpoints_with_several() -> None:
    """For others it would be the same as the rung before."""
    one = model("mochi").checkpoint
    assert ladder(TWO_DENOISERS) == ladder(one, TWO_DENOISERS) == LADDER
    assert ladder(one) == (ALL, TEXT, GROUPS, FP8)
    assert (leaner(TEXT, one), leaner(ONE, one)) == (GROUPS, GROUPS)
    weights = declared_bytes(one)
    assert needed(weights, GIB, ONE) == needed(weights, GIB, TEXT)


def test_the_larger_denoiser_counts_if_one_lies_on_the_device() -> None:
    larger, both = WeightBytes(0, (21 * GIB,), 0), WeightBytes(0, (20 * GIB, 21 * GIB), 0)
    assert needed(both, 0, TEXT) - needed(larger, 0, TEXT) == 20 * GIB
    assert all(needed(both, 0, placement) == needed(larger, 0, placement) for placement in (ONE, GROUPS, FP8))


def test_a_leaner_placement_serves_too_unless_it_changes_the_video() -> None:
    served = {(had, wanted) for had in LADDER for wanted in LADDER if had.serves(wanted)}
    exact = (ALL, TEXT, ONE, GROUPS)
    assert served == {
        *((one, one) for one in LADDER),
        *((one, other) for other, one in itertools.combinations(exact, 2)),
    }


@pytest.mark.parametrize("declared", [case for case in EVERY_VARIANT if case.id != "sketch"])
def test_the_default_clip_needs_what_a_request_for_nothing_special_needs(declared: VideoModel) -> None:
    assert default_activations(declared) == activations_of(declared)


def test_bytes_by_declared_role() -> None:
    """A network counts by its declared role, whatever its name is, in the dtype that it computes in."""
    assert declared_bytes(TWO_DENOISERS) == WeightBytes(encoders=8, denoisers=(20, 22), autoencoder=12)


def test_a_decoder_of_tiles_takes_as_much_for_a_small_picture_as_for_a_large_one() -> None:
    tiled = model("open-sora")
    tile = tiled.decode_bytes * tiled.decode_area
    small, large = (activations_of(tiled, side, side, 129) for side in (256, 512))
    assert small == large == tile
    assert activations_of(tiled, 192, 192, 129) < tile


def test_pieces_grow_with_the_memory_and_fit_into_it() -> None:
    streamed, pixels = model("mochi"), 848 * 480
    least, further = streamed.decode_bytes * pixels, streamed.decode_latent_bytes * pixels
    found = [largest_piece(streamed, pixels, round(room)) for room in (0, least, least + 2.1 * further, 80 * GIB)]
    assert found[:3] == [LEAST, LEAST, Piece(2)]
    assert found[3].latents > 2 and least + (found[3].latents - 1) * further < 80 * GIB


def test_a_whole_picture_is_decoded_at_once_if_there_is_room() -> None:
    tiled, pixels = model("hunyuanvideo"), 1280 * 720
    whole = round(tiled.decode_picture_bytes * pixels)
    assert largest_piece(tiled, pixels, whole - 1) == LEAST
    assert largest_piece(tiled, pixels, whole + 1) == Piece(whole_picture=True)
    assert not largest_piece(model("open-sora"), 256 * 256, 80 * GIB).whole_picture  # its authors decode in tiles

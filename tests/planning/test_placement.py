"""Which placement which model gets on which GPU, and what is said where there is none."""

import itertools

import pytest

from videoworker.errors import Code, JobError
from videoworker.models import VARIANTS
from videoworker.models.declaration import Model
from videoworker.models.placement import (
    GIB,
    LADDER,
    Placement,
    Weights,
    activations,
    choose,
    declared_weights,
    default_activations,
    needed,
    weights_of,
)
from videoworker.models.plan import make_plan
from videoworker.request import VideoRequest

# GiB that are free on an empty card of so many GB, as its driver reports them.
CARDS = {16: 15.6, 24: 23.5, 48: 47.4, 80: 79.1, 141: 139.7}

MODELS_THAT_RUN = [
    pytest.param(model, id=model.folder) for variants in VARIANTS.values() for model in variants if model.runner
]
ALL, TEXT, GROUPS, FP8 = Placement.RESIDENT, Placement.TEXT_ENCODER_OFFLOAD, Placement.GROUP_OFFLOAD, Placement.FP8


def model(folder: str) -> Model:
    return next(model for variants in VARIANTS.values() for model in variants if model.folder == folder)


def activations_of(model: Model, width: int | None = None, height: int | None = None, frames: int | None = None) -> int:
    image = "x" if model.needs_image else None
    request = VideoRequest(api="native", prompt="a cat", image=image, width=width, height=height, num_frames=frames)
    return activations(make_plan(request, model))


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
        ("sketch", (ALL, ALL, ALL, ALL, ALL)),
    ],
)
def test_the_placement_of_a_models_default_clip_on_each_card(
    folder: str, placements: tuple[Placement | None, ...]
) -> None:
    declared = model(folder)
    weights, beside = declared_weights(declared), activations_of(declared)
    found: list[Placement | None] = []
    for card in CARDS.values():
        try:
            found.append(choose(weights, beside, round(card * GIB)))
        except JobError:
            found.append(None)
    assert tuple(found) == placements


@pytest.mark.parametrize("declared", MODELS_THAT_RUN)
@pytest.mark.parametrize("card", CARDS.values())
def test_what_is_chosen_fits_and_nothing_faster_does(declared: Model, card: float) -> None:
    weights, beside, free = declared_weights(declared), activations_of(declared), round(card * GIB)
    fitting = [placement for placement in LADDER if needed(weights, beside, placement) <= free]
    if fitting:
        assert choose(weights, beside, free) == fitting[0]
    else:
        with pytest.raises(JobError):
            choose(weights, beside, free)


@pytest.mark.parametrize("declared", MODELS_THAT_RUN)
def test_each_placement_needs_less_than_the_one_before(declared: Model) -> None:
    assert declared.denoise_bytes and declared.decode_bytes  # every model that runs says what it costs
    weights, beside = declared_weights(declared), activations_of(declared)
    bytes_needed = [needed(weights, beside, placement) for placement in LADDER]
    assert bytes_needed == sorted(set(bytes_needed), reverse=True)
    assert bytes_needed[0] > sum((weights.text_encoders, weights.transformer, weights.vae, beside))


def test_a_longer_clip_and_a_larger_picture_need_more() -> None:
    hunyuanvideo = model("hunyuanvideo")
    sizes = [(512, 320, 33), (512, 320, 129), (960, 544, 129), (1280, 720, 129)]
    needs = [activations_of(hunyuanvideo, *size) for size in sizes]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(needs))


def test_a_clip_made_in_parts_needs_what_its_longest_part_needs() -> None:
    ltx = model("ltx")
    longest = activations_of(ltx, frames=ltx.max_frames)
    assert activations_of(ltx, frames=ltx.max_frames * 3) == longest


def test_too_little_memory_is_the_documents_error_with_both_numbers() -> None:
    weights = Weights(text_encoders=10 * GIB, transformer=20 * GIB, vae=1 * GIB)
    with pytest.raises(JobError) as caught:
        choose(weights, 6 * GIB, 8 * GIB)
    error = caught.value
    assert (error.code, error.words.hunyuanvideo15, error.words.status) == (Code.OUT_OF_MEMORY, "OOM_ERROR", 503)
    least = needed(weights, 6 * GIB, FP8) / GIB
    assert f"at least {least:.1f} GiB" in error.message and "8.0 GiB are free" in error.message
    assert "Reduce resolution or duration" in error.message


def test_a_forced_placement_is_where_the_choice_begins() -> None:
    weights, plenty = Weights(10 * GIB, 20 * GIB, 1 * GIB), 1000 * GIB
    assert [choose(weights, GIB, plenty, forced) for forced in LADDER] == list(LADDER)
    tight = needed(weights, GIB, GROUPS)
    assert choose(weights, GIB, tight, TEXT) is GROUPS


def test_the_ladder_ends_and_only_its_end_changes_the_video() -> None:
    assert [placement.leaner for placement in LADDER] == [*LADDER[1:], None]
    assert [placement.is_exact for placement in LADDER] == [True, True, True, False]


def test_a_leaner_placement_serves_too_unless_it_changes_the_video() -> None:
    served = {(had, wanted) for had in LADDER for wanted in LADDER if had.serves(wanted)}
    assert served == {*((one, one) for one in LADDER), (TEXT, ALL), (GROUPS, ALL), (GROUPS, TEXT)}


@pytest.mark.parametrize("declared", [case for case in MODELS_THAT_RUN if case.id != "sketch"])
def test_the_default_clip_needs_what_a_request_for_nothing_special_needs(declared: Model) -> None:
    assert default_activations(declared) == activations_of(declared)


def test_every_network_that_is_neither_transformer_nor_autoencoder_describes_the_prompt() -> None:
    sizes = {"text_encoder": 5, "text_encoder_2": 2, "image_encoder": 1, "transformer": 20, "vae": 3}
    assert weights_of(sizes) == Weights(text_encoders=8, transformer=20, vae=3)

"""Which variant of a model serves which request."""

from typing import Any

import pytest

from videoworker.effort import Effort
from videoworker.errors import Code, JobError
from videoworker.models import MODELS, VARIANTS
from videoworker.planning.variants import of_effort, suited
from videoworker.request import VideoRequest


def names(model: str, **asked: Any) -> list[str]:
    request = VideoRequest(api="native", prompt="a cat", **asked)
    return [variant.variant for variant in suited(VARIANTS[model], request)]


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_text_is_served_first_by_the_variant_that_the_models_name_means(name: str) -> None:
    assert names(name)[0] == MODELS[name].variant


@pytest.mark.parametrize(
    ("model", "first"), [("hunyuanvideo", "i2v"), ("hunyuanvideo-1.5", "720p-i2v"), ("cogvideox", "5b-i2v")]
)
def test_an_image_is_served_only_by_variants_that_take_one(model: str, first: str) -> None:
    variants = names(model, image="x")
    assert variants[0] == first
    assert variants and all("i2v" in variant for variant in variants)
    assert not any("i2v" in variant for variant in names(model))


@pytest.mark.parametrize("model", ["sketch", "ltx"])
def test_one_variant_may_serve_both(model: str) -> None:
    assert names(model) == names(model, image="x") == [""]


def test_an_image_for_a_model_without_an_image_variant_leaves_the_refusal_to_planning() -> None:
    assert names("mochi", image="x") == [""]


@pytest.mark.parametrize(
    ("width", "height", "first"),
    [
        (848, 480, "480p-t2v"),
        (640, 640, "480p-t2v"),
        (960, 544, "720p-t2v"),
        (1280, 720, "720p-t2v"),
        (1920, 1080, "720p-t2v"),
        (256, 256, "480p-t2v"),
    ],
)
def test_a_size_is_served_by_the_smallest_variant_that_makes_it(width: int, height: int, first: str) -> None:
    assert names("hunyuanvideo-1.5", width=width, height=height)[0] == first


@pytest.mark.parametrize("model", list(VARIANTS))
@pytest.mark.parametrize("effort", ["exact", "full", "fast", "turbo"])
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "served"])
def test_tier(model: str, effort: Effort, asked: bool) -> None:
    """Every variant that has it is left; if none has, the error names the field or the setting, and the tiers."""
    having = [variant for variant in VARIANTS[model] if effort in variant.efforts]
    tiers = (effort, None) if asked else (None, effort)
    if having:
        assert of_effort(VARIANTS[model], *tiers) == having
        return
    with pytest.raises(JobError) as caught:
        of_effort(VARIANTS[model], *tiers)
    assert caught.value.code is (Code.INVALID_FIELD if asked else Code.MODEL_NOT_LOADED)
    told = f"one of: exact, full, fast, with {model}"
    assert caught.value.message == (f"effort: {told} for such a request" if asked else f"EFFORT: {told} (given: turbo)")
    assert [(problem.field, problem.given) for problem in caught.value.fields] == ([("effort", effort)] * asked)


def test_the_request_goes_before_the_worker() -> None:
    distilled = of_effort(VARIANTS["hunyuanvideo-1.5"], "turbo", "fast")
    assert [variant.variant for variant in distilled] == ["480p-i2v-step-distilled"]
    assert of_effort(VARIANTS["sketch"], "fast", "turbo") == list(VARIANTS["sketch"])

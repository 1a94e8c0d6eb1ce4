"""docker-bake.hcl, as buildx would read it, against the models that there are and the Dockerfile that it builds."""

import re
from typing import Any

import hcl2
import pytest
from hcl2 import SerializationOptions

from builder.presets import IMAGE_BYTES
from tests.handler_process import ROOT
from videoworker import __version__
from videoworker.models import VARIANTS

RUNPOD_LARGEST_BYTES = 80e9


def blocks(of: str) -> dict[str, Any]:
    """By name."""
    with (ROOT / "docker-bake.hcl").open() as file:
        read = hcl2.load(file, serialization_options=SerializationOptions(strip_string_quotes=True))
    return {name: block for one in read[of] for name, block in one.items()}


VARIABLES = {name: block["default"] for name, block in blocks("variable").items()}
TARGETS = blocks("target")


def arguments(target: str) -> dict[str, str]:
    """The build's, those of the targets that it inherits from among them."""
    inherited: dict[str, str] = {}
    for parent in TARGETS[target].get("inherits", []):
        inherited |= arguments(parent)
    return inherited | TARGETS[target].get("args", {})


def baked(target: str) -> list[tuple[str, str]]:
    """Model and variant of all weights in its image."""
    given = arguments(target)
    variants = given.get("MODEL_VARIANT", "").split(",")
    return [(given["MODEL"], variant) for variant in variants] if "MODEL" in given else []


def test_each_model_that_runs_has_the_target_of_its_name() -> None:
    named = {name.replace("_", "."): name for name in TARGETS}
    runs = [name for name, variants in VARIANTS.items() if variants[0].runner]
    assert [baked(named[name]) for name in runs] == [[(name, "")] for name in runs]
    assert baked("default") == []


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"default"}))
def test_a_target_bakes_weights_that_there_are_into_an_image_that_runpod_takes(target: str) -> None:
    size = IMAGE_BYTES
    for model, variant in baked(target):
        declared = {one.variant: one for one in VARIANTS[model]}
        size += (declared[variant] if variant else VARIANTS[model][0]).size
    assert size < RUNPOD_LARGEST_BYTES


def test_a_target_with_several_variants_bakes_those_that_continue_one_another() -> None:
    for target in TARGETS:
        first, *others = baked(target) or [("", "")]
        for model, variant in others:
            declared = {one.variant: one for one in VARIANTS[model]}
            assert declared[first[1]].continued_by == variant


def test_targets_differ_in_their_tag_and_say_the_version() -> None:
    tags = [tag for target in TARGETS.values() for tag in target["tags"]]
    assert len(set(tags)) == len(TARGETS) == len(tags)
    assert all(tag.startswith("${IMAGE}:${VERSION}") for tag in tags)
    assert VARIABLES["VERSION"] == __version__
    assert all(arguments(target)["VERSION"] == "VERSION" for target in TARGETS)


def test_a_target_gives_no_argument_that_the_dockerfile_does_not_take() -> None:
    taken = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {name for target in TARGETS for name in arguments(target)} <= taken

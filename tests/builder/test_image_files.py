"""docker-bake.hcl, as buildx would read it, and .dockerignore."""

import re
from typing import Any

import hcl2
import pytest
from hcl2 import SerializationOptions

from builder import image_files
from builder.declared import SHIPPED
from builder.presets import IMAGE_BYTES
from tests.handler_process import ROOT
from videoworker import __version__
from videoworker.models import DECLARED, SOUND_VARIANTS, VARIANTS
from videoworker.models.checkpoint import Checkpoint

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
    own: dict[str, str] = TARGETS[target].get("args", {})
    return inherited | own


def baked(target: str) -> list[tuple[str, str]]:
    """Model and variant of all weights in its image."""
    given = arguments(target)
    return [
        (given[model], variant)
        for model in ("MODEL", "SOUND_MODEL")
        if model in given
        for variant in given.get(f"{model}_VARIANT", "").split(",")
    ]


def test_both_files_are_those_of_the_declarations() -> None:
    made = {"docker-bake.hcl": image_files.bake(), ".dockerignore": image_files.dockerignore()}
    for name, text in made.items():
        assert (ROOT / name).read_text("utf-8") == text, "run: python -m builder.image_files"


def test_each_model_that_runs_has_a_target() -> None:
    named = {name.replace("_", "."): name for name in TARGETS}
    assert [baked(named[name]) for name in VARIANTS] == [[(name, "")] for name in VARIANTS]
    assert baked("default") == []


def test_each_model_that_is_fetched_has_a_target_with_each_sound_model() -> None:
    named = {name.replace("_", "."): name for name in TARGETS}
    sounds = [name for name, variants in SOUND_VARIANTS.items() if variants[0].checkpoint.repository]
    assert "foley" in sounds
    for name, variants in VARIANTS.items():
        for sound in sounds:
            expected = [(name, ""), (sound, "")] if variants[0].checkpoint.repository else None
            target = named.get(f"{name}-{sound}")
            assert (baked(target) if target else None) == expected


def test_each_variant_that_runs_has_a_target() -> None:
    first = {(variants[0].name, variants[0].variant) for variants in VARIANTS.values()}
    every = {(one.name, one.variant) for variants in VARIANTS.values() for one in variants}
    assert {one for target in TARGETS for one in baked(target)} >= every - first


def checkpoints(target: str) -> list[Checkpoint]:
    """Whose weights are in its image."""
    return [
        next(one for one in DECLARED[model] if variant in ("", one.variant)).checkpoint
        for model, variant in baked(target)
    ]


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"default"}))
def test_runpod_takes_each_image(target: str) -> None:
    assert IMAGE_BYTES + sum(one.size for one in checkpoints(target)) < RUNPOD_LARGEST_BYTES


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_licence_is_accepted_by_the_builds_environment(target: str) -> None:
    """And nothing changes for images that need none."""
    needs = any(one.needs_acceptance for one in checkpoints(target))
    assert arguments(target).get("ACCEPT_TENCENT_LICENSE") == ("ACCEPT_TENCENT_LICENSE" if needs else None)
    assert VARIABLES["ACCEPT_TENCENT_LICENSE"] == "false"


def test_of_two_variants_the_second_continues_the_first() -> None:
    pairs = [baked(target) for target in TARGETS if len(baked(target)) > 1 and "SOUND_MODEL" not in arguments(target)]
    assert pairs
    for (model, first), (_, second) in pairs:
        declared = {one.variant: one for one in VARIANTS[model]}
        assert declared[first].continued_by == second


def test_targets_differ_in_their_tag_and_say_the_version() -> None:
    tags = [tag for target in TARGETS.values() for tag in target["tags"]]
    assert len(set(tags)) == len(TARGETS) == len(tags)
    assert all(tag.startswith("${IMAGE}:${VERSION}") for tag in tags)
    assert VARIABLES["VERSION"] == __version__
    assert all(arguments(target)["VERSION"] == "VERSION" for target in TARGETS)


def test_the_group_of_a_release_needs_no_weights_from_elsewhere() -> None:
    targets = blocks("group")["shipped"]["targets"]
    assert [baked(target) for target in targets] == [[], [], *([(model.name, "")] for model in SHIPPED)]


def test_a_target_without_a_stage_is_the_worker() -> None:
    """Which is the last stage of the Dockerfile."""
    stages = re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named = {name: block["target"] for name, block in TARGETS.items() if "target" in block}
    assert (stages[-1], named) == ("worker", {"gateway": "gateway"})
    assert "gateway" in stages


def test_the_dockerfile_takes_every_argument() -> None:
    taken = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {name for target in TARGETS for name in arguments(target)} <= taken


def test_what_the_dockerfile_copies_is_let_in() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE)
    for source in (source for line in lines for source in line.split()[:-1]):
        assert any(f"{source}/".startswith(f"{one}/") or one.startswith(f"{source}/") for one in let_in), source

"""Which model a job gets on which machine, and the plan that comes of it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.apis.samples import parse
from videoworker.effort import Effort
from videoworker.errors import Code, JobError
from videoworker.models import DECLARED
from videoworker.models.cogvideox import COGVIDEOX, COGVIDEOX_1_5_5B, COGVIDEOX_5B, COGVIDEOX_5B_I2V
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.hunyuanvideo_1_5 import (
    HUNYUANVIDEO_1_5,
    HUNYUANVIDEO_1_5_480P_I2V,
    HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED,
    HUNYUANVIDEO_1_5_720P_I2V,
)
from videoworker.models.ltx import LTX
from videoworker.models.mochi import MOCHI
from videoworker.models.open_sora import OPEN_SORA
from videoworker.models.sketch import SKETCH
from videoworker.models.video_model import VideoModel
from videoworker.planning.machine import Machine
from videoworker.planning.plan import Plan, make_plan
from videoworker.request import VideoRequest


def with_gpu(*installed: VideoModel, may_fetch: bool = False) -> Machine:
    checkpoints = {model.checkpoint for model in installed}
    return Machine(checkpoints.__contains__, may_fetch, has_gpu=True)


def without_gpu(*installed: VideoModel) -> Machine:
    return replace(with_gpu(*installed), has_gpu=False)


def request(**asked: Any) -> VideoRequest:
    return VideoRequest("native", "a cat", **asked)


def refused(machine: Machine, name: str, asked: VideoRequest | None = None) -> JobError:
    with pytest.raises(JobError) as caught:
        machine.variant_for(name, asked)
    return caught.value


@pytest.mark.parametrize(
    ("machine", "best"),
    [
        (with_gpu(SKETCH, COGVIDEOX, MOCHI, HUNYUANVIDEO_1_5, HUNYUANVIDEO), "hunyuanvideo-1.5"),
        (with_gpu(SKETCH, COGVIDEOX, MOCHI), "mochi"),
        (with_gpu(SKETCH, COGVIDEOX_5B_I2V), "cogvideox"),
        (without_gpu(SKETCH, MOCHI, LTX), "sketch"),
    ],
    ids=["all", "two large ones", "a variant", "no GPU"],
)
def test_best_installed(machine: Machine, best: str) -> None:
    """The installed model of the least rank that runs here."""
    assert machine.best_installed() == best


@pytest.mark.parametrize(
    "machine",
    [with_gpu(), without_gpu(), with_gpu(may_fetch=True)],
    ids=["nothing", "no GPU", "what may be fetched"],
)
def test_nothing_installed(machine: Machine) -> None:
    """No model is chosen that is not here, not even one that may be fetched."""
    with pytest.raises(JobError) as caught:
        machine.best_installed()
    assert (caught.value.code, caught.value.message) == (Code.MODEL_NOT_LOADED, "No video model is installed.")


def test_what_is_installed_needs_a_gpu() -> None:
    """Not the files are missing: the operator may let the processor run them."""
    with pytest.raises(JobError) as caught:
        without_gpu(MOCHI).best_installed()
    assert caught.value.code is Code.GPU_UNAVAILABLE
    assert "mochi needs one" in caught.value.message and "CPU=allow" in caught.value.message


def test_unknown_model() -> None:
    error = refused(with_gpu(SKETCH), "sora")
    assert error.code is Code.INVALID_FIELD
    assert error.message == f"There is no model 'sora'; there are: {', '.join(DECLARED)}."


@pytest.mark.parametrize(
    ("installed", "asked", "variant"),
    [
        ([COGVIDEOX, COGVIDEOX_5B], None, COGVIDEOX),
        ([COGVIDEOX_5B_I2V, COGVIDEOX_5B], None, COGVIDEOX_5B),
        ([COGVIDEOX_5B, COGVIDEOX_5B_I2V], request(), COGVIDEOX_5B),
        ([COGVIDEOX_5B, COGVIDEOX_5B_I2V], request(image="x"), COGVIDEOX_5B_I2V),
        ([COGVIDEOX, COGVIDEOX_1_5_5B], request(width=1360, height=768), COGVIDEOX_1_5_5B),
        ([COGVIDEOX], request(width=1360, height=768), COGVIDEOX),
    ],
    ids=["the first", "the first that is here", "text", "image", "size", "another size"],
)
@pytest.mark.parametrize("may_fetch", [False, True])
def test_installed_variant(
    installed: list[VideoModel], asked: VideoRequest | None, variant: VideoModel, may_fetch: bool
) -> None:
    """What is here goes before what could be fetched, even if that suits the request better."""
    assert with_gpu(*installed, may_fetch=may_fetch).variant_for("cogvideox", asked) is variant


@pytest.mark.parametrize(
    ("installed", "asked", "wanted"),
    [
        ([], None, COGVIDEOX),
        ([COGVIDEOX], request(image="x"), COGVIDEOX_5B_I2V),
        ([COGVIDEOX_5B_I2V], request(), COGVIDEOX),
        ([], request(width=1360, height=768), COGVIDEOX_1_5_5B),
    ],
    ids=["nothing", "image", "text", "size"],
)
def test_absent_variant(installed: list[VideoModel], asked: VideoRequest | None, wanted: VideoModel) -> None:
    """If no variant that suits is here, the best one is fetched if that is allowed, else the error names it."""
    assert with_gpu(*installed, may_fetch=True).variant_for("cogvideox", asked) is wanted
    error = refused(with_gpu(*installed), "cogvideox", asked)
    assert (error.code, error.message) == (Code.MODEL_NOT_LOADED, wanted.checkpoint.absence)


@pytest.mark.parametrize(
    ("machine", "model", "continuing"),
    [
        (with_gpu(HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V), HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V),
        (with_gpu(HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_480P_I2V), HUNYUANVIDEO_1_5, None),
        (with_gpu(HUNYUANVIDEO_1_5, may_fetch=True), HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V),
        (with_gpu(SKETCH), SKETCH, SKETCH),
        (with_gpu(MOCHI), MOCHI, None),
    ],
    ids=["installed", "absent", "may be fetched", "itself", "none"],
)
def test_continuing_variant(machine: Machine, model: VideoModel, continuing: VideoModel | None) -> None:
    assert machine.continuing_variant(model) is continuing


def made(plan: Plan) -> tuple[int, int, int]:
    """The size and the frames that go to the file."""
    return plan.canvas.width, plan.canvas.height, sum(segment.kept for segment in plan.segments)


@pytest.mark.parametrize(
    ("asked", "served", "model"),
    [
        ({}, None, MOCHI),
        ({"model": "sketch"}, None, SKETCH),
        ({"model": "sketch"}, "cogvideox", COGVIDEOX),
        ({}, "sketch", SKETCH),
    ],
    ids=["nobody names one", "the request", "both", "the operator"],
)
def test_model_of_a_plan(asked: dict[str, Any], served: str | None, model: VideoModel) -> None:
    """The operator's goes first, then the request's, then the best that is installed. Its defaults are the plan's."""
    plan = make_plan(request(**asked), with_gpu(SKETCH, COGVIDEOX, MOCHI), served)
    assert plan.models == (model,)
    assert made(plan) == (model.default_width, model.default_height, model.default_frames)
    assert (plan.fps, plan.sampling.steps) == (model.fps, model.default_steps)


@pytest.mark.parametrize(
    ("backend", "model"), [("opensora", OPEN_SORA), ("mochi", MOCHI), ("auto", MOCHI), ("", MOCHI), (None, MOCHI)]
)
def test_backend_of_a_local_job(backend: str | None, model: VideoModel) -> None:
    """`auto`, as none, is the best that is installed."""
    machine = with_gpu(SKETCH, OPEN_SORA, MOCHI)
    assert make_plan(parse("local", prefer_backend=backend), machine).model is model


def test_plan_of_two_variants() -> None:
    """A long clip has both variants, in the order in which they are needed; a short one the first alone."""
    machine = with_gpu(HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V)
    asked = request(duration=10.0, width=1280, height=720, low_vram=True)
    plan = make_plan(asked, machine)
    assert plan.models == (HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V)
    assert [plan.model_of(index).variant for index in range(len(plan.segments))] == ["720p-t2v", "720p-i2v"]
    assert made(plan) == (1280, 720, 240) and plan.low_vram
    assert set(HUNYUANVIDEO_1_5.checkpoint.notes) < set(plan.notes)
    assert make_plan(replace(asked, duration=5.0), machine).models == (HUNYUANVIDEO_1_5,)


@pytest.mark.parametrize(
    ("asked", "served", "made_by", "effort"),
    [
        (None, None, HUNYUANVIDEO_1_5_480P_I2V, "full"),
        ("exact", None, HUNYUANVIDEO_1_5_480P_I2V, "exact"),
        (None, "fast", HUNYUANVIDEO_1_5_480P_I2V, "fast"),
        ("turbo", "fast", HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED, "turbo"),
        (None, "turbo", HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED, "turbo"),
        ("full", "turbo", HUNYUANVIDEO_1_5_480P_I2V, "full"),
    ],
)
def test_effort_of_a_plan(asked: Effort | None, served: Effort | None, made_by: VideoModel, effort: Effort) -> None:
    """The request's goes before the worker's, and that before the model's default."""
    machine = with_gpu(HUNYUANVIDEO_1_5_480P_I2V, HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED)
    wanted = request(model="hunyuanvideo-1.5", image="x", width=848, height=480, effort=asked)
    plan = make_plan(wanted, machine, effort=served)
    assert (plan.model, plan.sampling.effort) == (made_by, effort)
    assert plan.sampling.steps == made_by.default_steps


def test_default_effort_of_a_distilled_variant() -> None:
    """If no other is installed, it makes the video as it was trained to."""
    machine = with_gpu(HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED)
    plan = make_plan(request(model="hunyuanvideo-1.5", image="x"), machine)
    assert (plan.sampling.effort, plan.sampling.predictions) == ("turbo", 8)


def test_effort_at_the_start() -> None:
    """A worker loads the variant of its tier, or ends with what there is."""
    machine = with_gpu(HUNYUANVIDEO_1_5, may_fetch=True)
    assert machine.variant_for("hunyuanvideo-1.5", None, "turbo") is HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED
    with pytest.raises(JobError) as caught:
        machine.variant_for("mochi", None, "turbo")
    assert caught.value.message == "EFFORT: one of: exact, full, fast, with mochi (given: turbo)"


def test_plan_that_cannot_be_made() -> None:
    """What the machine lacks and what the variant lacks are both told by planning."""
    with pytest.raises(JobError) as absent:
        make_plan(request(model="mochi"), with_gpu(SKETCH))
    assert absent.value.code is Code.MODEL_NOT_LOADED
    with pytest.raises(JobError) as too_long:
        make_plan(request(duration=10.0, width=1280, height=720), with_gpu(HUNYUANVIDEO_1_5))
    assert too_long.value.code is Code.INVALID_DURATION
    with pytest.raises(JobError) as no_image:
        make_plan(request(model="mochi", image="x"), with_gpu(MOCHI))
    assert [problem.field for problem in no_image.value.fields] == ["image"]

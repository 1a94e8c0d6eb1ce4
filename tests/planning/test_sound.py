"""Which model makes a sound, how, and what lies on the device meanwhile."""

from dataclasses import replace

import pytest

from videoworker.errors import Code, JobError
from videoworker.models import SOUND_VARIANTS
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.foley import FOLEY_XL, FOLEY_XXL
from videoworker.models.ltx import LTX
from videoworker.models.sketch import SKETCH
from videoworker.models.sketch_foley import SKETCH_FOLEY
from videoworker.models.sound_model import Part, SoundModel
from videoworker.planning.machine import Machine
from videoworker.planning.memory import GIB
from videoworker.planning.plan import Plan, make_plan, needed_sound_model
from videoworker.planning.sound import Room, SoundPlan, plan_sound, room_for
from videoworker.request import AudioRequest, VideoRequest

BEST = next(iter(SOUND_VARIANTS.values()))[0]


def machine(*installed: Checkpoint, may_fetch: bool = False, has_gpu: bool = True) -> Machine:
    return Machine(installed.__contains__, may_fetch, has_gpu)


def plan_on(machine: Machine, audio: AudioRequest | None = None, **asked: float) -> Plan:
    request = VideoRequest("native", "a bell rings", audio=audio or AudioRequest(), **asked)  # type: ignore[arg-type]
    return make_plan(request, machine)


def sound_of(plan: Plan) -> SoundPlan:
    assert plan.sound is not None
    return plan.sound


@pytest.mark.parametrize(
    ("there", "model"),
    [
        (machine(LTX.checkpoint, FOLEY_XL.checkpoint), FOLEY_XL),
        (machine(LTX.checkpoint, FOLEY_XL.checkpoint, FOLEY_XXL.checkpoint), FOLEY_XXL),
        (machine(LTX.checkpoint, FOLEY_XL.checkpoint, may_fetch=True), FOLEY_XL),
        (machine(LTX.checkpoint, SKETCH_FOLEY.checkpoint, may_fetch=True), FOLEY_XXL),
        (machine(SKETCH.checkpoint, FOLEY_XL.checkpoint, has_gpu=False), FOLEY_XL),
        (machine(SKETCH.checkpoint, SKETCH_FOLEY.checkpoint, FOLEY_XXL.checkpoint), SKETCH_FOLEY),
        (machine(SKETCH.checkpoint, SKETCH_FOLEY.checkpoint, has_gpu=False), SKETCH_FOLEY),
        (machine(SKETCH.checkpoint, FOLEY_XXL.checkpoint), FOLEY_XXL),
        (machine(SKETCH.checkpoint, may_fetch=True), FOLEY_XXL),
    ],
)
def test_model(there: Machine, model: object) -> None:
    """An installed one comes before one to fetch. What is made for a video model makes its sound, and no other's."""
    assert sound_of(plan_on(there)).model == model


@pytest.mark.parametrize("there", [machine(LTX.checkpoint, SKETCH_FOLEY.checkpoint), machine(LTX.checkpoint)])
def test_no_model(there: Machine) -> None:
    """What is made for other videos is none for this one."""
    plan = plan_on(there)
    assert plan.sound is None
    fetch = BEST.checkpoint.how_to_fetch
    assert f"No sound model for ltx is installed, so the video is silent. To fetch one: {fetch}" in plan.notes


@pytest.mark.parametrize(
    ("there", "model"),
    [
        (machine(SKETCH_FOLEY.checkpoint), SKETCH_FOLEY),
        (machine(SKETCH_FOLEY.checkpoint, FOLEY_XL.checkpoint), FOLEY_XL),
        (machine(SKETCH_FOLEY.checkpoint, may_fetch=True), FOLEY_XXL),
        (machine(SKETCH_FOLEY.checkpoint, may_fetch=True, has_gpu=False), SKETCH_FOLEY),
    ],
)
def test_model_for_a_callers_clip(there: Machine, model: object) -> None:
    """What is made for other videos is the last choice."""
    assert needed_sound_model(there) == model


@pytest.mark.parametrize(
    ("there", "served", "model"),
    [
        (machine(SKETCH_FOLEY.checkpoint, FOLEY_XL.checkpoint), "sketch-foley", SKETCH_FOLEY),
        (machine(SKETCH_FOLEY.checkpoint, FOLEY_XL.checkpoint), "foley", FOLEY_XL),
        (machine(SKETCH_FOLEY.checkpoint, may_fetch=True), "foley", FOLEY_XXL),
        (machine(SKETCH_FOLEY.checkpoint, FOLEY_XL.checkpoint), "sketch", FOLEY_XL),
    ],
)
def test_model_that_is_served(there: Machine, served: str, model: object) -> None:
    """If it makes sounds, it is loaded at the start and makes those of callers' clips."""
    assert needed_sound_model(there, served) == model
    if served != "sketch":
        assert there.served(served) == model


def test_served_sound_model_is_absent() -> None:
    there = machine(SKETCH_FOLEY.checkpoint)
    with pytest.raises(JobError) as at_start:
        there.served("foley")
    with pytest.raises(JobError) as by_job:
        needed_sound_model(there, "foley")
    for error in (at_start.value, by_job.value):
        assert (error.code, error.message) == (Code.MODEL_NOT_LOADED, FOLEY_XXL.checkpoint.absence)


def test_sound_alone() -> None:
    """A sound model is loaded at the start if there is no video model."""
    assert machine(SKETCH_FOLEY.checkpoint).first("sketch", takes_video=True) == SKETCH_FOLEY
    assert machine(SKETCH_FOLEY.checkpoint, FOLEY_XL.checkpoint).first(None, takes_video=True) == FOLEY_XL
    assert machine(FOLEY_XL.checkpoint, may_fetch=True).first("ltx", takes_video=True) == LTX
    assert machine(FOLEY_XL.checkpoint, LTX.checkpoint).first("ltx", takes_video=True) == LTX


@pytest.mark.parametrize(
    ("there", "of_api", "takes_video", "message"),
    [
        (machine(LTX.checkpoint, FOLEY_XL.checkpoint), "sketch", True, SKETCH.checkpoint.absence),
        (machine(FOLEY_XL.checkpoint), "ltx", False, LTX.checkpoint.absence),
        (machine(FOLEY_XL.checkpoint), None, False, "No video model is installed."),
        (machine(), "sketch", True, SKETCH.checkpoint.absence),
    ],
    ids=["another video model", "no job gives a video", "and no model is meant", "nothing"],
)
def test_no_sound_alone(there: Machine, of_api: str | None, takes_video: bool, message: str) -> None:
    with pytest.raises(JobError) as caught:
        there.first(of_api, takes_video)
    assert (caught.value.code, caught.value.message) == (Code.MODEL_NOT_LOADED, message)


def test_no_video_of_a_sound_model() -> None:
    there = machine(SKETCH.checkpoint, FOLEY_XL.checkpoint)
    with pytest.raises(JobError) as caught:
        make_plan(VideoRequest("native", "a bell rings", model="sketch"), there, served="foley")
    assert caught.value.code is Code.MODEL_NOT_LOADED
    assert caught.value.message.startswith("No video model is served here: foley makes no videos")


def test_none_to_fetch() -> None:
    """Nothing is fetched that cannot run here, or that nobody has published."""
    there = machine(may_fetch=True, has_gpu=False)
    assert there.sound_model(LTX.name) is None and there.sound_model(SKETCH.name) is None


def test_defaults() -> None:
    sound = sound_of(plan_on(machine(SKETCH.checkpoint, FOLEY_XXL.checkpoint)))
    assert sound.prompts == ("noisy, harsh", "")  # without a prompt the picture alone counts
    assert (sound.sampling.steps, sound.sampling.guidance_scale, sound.seed) == (50, 4.5, None)


def test_what_is_asked_for() -> None:
    asked = AudioRequest("a bell", "", guidance_scale=1.0, num_inference_steps=7, seed=0)
    sound = sound_of(plan_on(machine(SKETCH.checkpoint, FOLEY_XXL.checkpoint), asked))
    assert sound.prompts == ("", "a bell")
    assert (sound.sampling.steps, sound.sampling.guidance_scale, sound.seed) == (7, 1.0, 0)


def test_silent_if_nobody_asks() -> None:
    request = VideoRequest("native", "a bell rings")
    assert make_plan(request, machine(SKETCH.checkpoint, FOLEY_XXL.checkpoint)).sound is None


def test_the_longest() -> None:
    there = machine(LTX.checkpoint, FOLEY_XXL.checkpoint)
    assert plan_on(there, duration=30.0).sound is not None
    with pytest.raises(JobError) as caught:
        plan_sound(AudioRequest(), FOLEY_XXL, seconds=30.0417)
    assert caught.value.code is Code.INVALID_DURATION
    assert "at most 30 s" in caught.value.fields[0].allowed


PARTS = {Part.EXTRACTORS: 1 * GIB, Part.TRANSFORMER: 10 * GIB, Part.DECODER: 1 * GIB}
ONE_GIB = replace(FOLEY_XXL, extract_bytes=GIB, denoise_bytes=GIB, decode_bytes=GIB)


@pytest.mark.parametrize(
    ("free", "room"),
    [(80, Room.BESIDE), (43, Room.BESIDE), (42, Room.ALONE), (15, Room.ALONE), (14, Room.BY_PART), (13, Room.BY_PART)],
)
def test_room(free: int, room: Room) -> None:
    """The video model needs 30 GiB, 2 of them in reserve. The sound needs 12, and one beside them."""
    assert room_for(ONE_GIB, PARTS, 30 * GIB, free * GIB) is room


def test_no_room() -> None:
    with pytest.raises(JobError) as caught:
        room_for(ONE_GIB, PARTS, 30 * GIB, 12 * GIB)
    assert caught.value.code is Code.OUT_OF_MEMORY
    assert "at least 13.0 GiB, and 12.0 GiB are free" in caught.value.message


@pytest.mark.parametrize(("model", "card"), [(FOLEY_XL, 8), (FOLEY_XXL, 12)])
def test_cards(model: SoundModel, card: int) -> None:
    """XL fits a card of 8 GB and XXL one of 12, beside nothing else. A card has about 0.2 GiB less than its name."""
    parts = {part: sum(component.size for component in model.components(part)) for part in Part}
    assert room_for(model, parts, 10**12, round((card - 0.2) * GIB)) is Room.BY_PART

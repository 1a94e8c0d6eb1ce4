"""`.runpod/hub.json` and `.runpod/tests.json` say what the settings and models say, in the form that the Hub documents
(docs.runpod.io/hub/publishing-guide), and are true of the worker."""

import asyncio
import json
import re
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from builder.declared import SHIPPED
from builder.hub import FOLDER, main
from builder.presets import POOLS, PRESETS, Preset
from videoworker import job
from videoworker.apis import APIS
from videoworker.engine.engine import Engine
from videoworker.errors import JobError
from videoworker.models import MODELS, SOUND_VARIANTS, VARIANTS
from videoworker.planning.memory import GIB
from videoworker.planning.placement import LADDER, best_placement, declared_bytes, declared_sizes, default_activations
from videoworker.planning.sound import room_for
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.worker.handler import Handler

# GiB of a GB if error correction takes a sixteenth: an A40 has 45.0 of 48.
USABLE = 15 / 16
# Set by the image or by the platform, or of no use there.
NOT_FOR_USERS = {
    "WEIGHTS_DIR",
    "NETWORK_VOLUME",
    "OUTPUT_DIR",
    "ALLOW_PRIVATE_URLS",
    "PUBLIC_BASE_URL",
    "METRICS_PORT",
    "METRICS_HOST",
    "RUNPOD_GPU_COUNT",
    "RUNPOD_POD_ID",
    "RUNPOD_SKIP_GPU_CHECK",
    "RUNPOD_WEBHOOK_POST_OUTPUT",
}
SECRETS = ("BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY", "HF_TOKEN")

# The database behind the Hub refuses longer ones.
Words = Annotated[str, Field(min_length=1, max_length=189)]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Option(Strict):
    label: Words
    value: str


class Input(Strict):
    name: Words
    type: Literal["string", "number", "boolean", "huggingface"]
    description: Words
    default: str | int | float | bool | None = None
    advanced: bool = False
    required: bool = False
    options: Annotated[list[Option], Field(min_length=1)] | None = None
    min: int | None = None
    max: int | None = None
    trueValue: str | None = None
    falseValue: str | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> "Input":
        allowed = {"number": (int, float), "boolean": (bool,)}.get(self.type, (str,))
        assert self.default is None or type(self.default) in allowed
        assert self.type == "number" or (self.min is None and self.max is None)
        assert self.type == "boolean" or (self.trueValue is None and self.falseValue is None)
        assert self.type != "boolean" or (self.trueValue is not None and self.falseValue is not None)
        assert self.options is None or self.type == "string"
        return self


class Variable(Strict):
    key: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    value: str | None = None
    input: Input | None = None

    @model_validator(mode="after")
    def _is_fixed_or_asked_for(self) -> "Variable":
        assert (self.value is None) != (self.input is None)
        return self


class PresetEntry(Strict):
    name: Words
    defaults: dict[str, str | int | float | bool]


class HubConfig(Strict):
    runsOn: Literal["GPU"]
    containerDiskInGb: Annotated[int, Field(gt=0)]
    gpuCount: Annotated[int, Field(gt=0)]
    gpuIds: str
    allowedCudaVersions: list[Version]
    presets: list[PresetEntry]
    env: list[Variable]

    @model_validator(mode="after")
    def _names_pools(self) -> "HubConfig":
        assert set(self.gpuIds.split(",")) <= set(POOLS)
        return self


class Hub(Strict):
    title: Words
    description: Words
    type: Literal["serverless"]
    category: Literal["audio", "embedding", "language", "video", "image"]
    iconUrl: str | None = None
    config: HubConfig


class HubTest(Strict):
    name: Words
    input: dict[str, Any]
    timeout: Annotated[int, Field(ge=5000, le=600_000)]  # milliseconds; less would be seconds by mistake


class Pair(Strict):
    key: str
    value: str


class HubTestsConfig(Strict):
    gpuTypeId: Literal["NVIDIA L4"]
    gpuCount: int
    env: list[Pair]
    allowedCudaVersions: list[Version]


class HubTests(Strict):
    tests: list[HubTest]
    config: HubTestsConfig


# Models and variables that a user of the Hub meets.
RUNNING = list(VARIANTS)
FOR_USERS = [name.upper() for name in Settings.model_fields if name.upper() not in NOT_FOR_USERS]

each_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.model.name)


@cache
def hub() -> Hub:
    return Hub.model_validate_json((FOLDER / "hub.json").read_text("utf-8"))


@cache
def hub_tests() -> HubTests:
    return HubTests.model_validate_json((FOLDER / "tests.json").read_text("utf-8"))


def form(key: str) -> Input:
    """What the Hub asks a user for."""
    (found,) = [variable.input for variable in hub().config.env if variable.key == key]
    assert found is not None
    return found


def listed(model: str) -> PresetEntry:
    (found,) = [entry for entry in hub().config.presets if entry.defaults["MODEL"] == model]
    return found


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def read(monkeypatch: pytest.MonkeyPatch, key: str, value: object) -> Any:
    """What the worker takes from a variable that the Hub sets. Raises `ValidationError`."""
    monkeypatch.setenv(key, str(value))
    return getattr(Settings(), key.lower())


def test_both_files_are_those_of_the_code(tmp_path: Path) -> None:
    main(tmp_path)
    for name in ("hub.json", "tests.json"):
        assert (tmp_path / name).read_text() == (FOLDER / name).read_text("utf-8"), "run: python -m builder.hub"


@pytest.mark.parametrize(
    "change",
    [
        {"description": "x" * 190},
        {"summary": "x"},
        {"config": {"gpuIds": "NVIDIA L40S"}},
        {
            "config": {
                "env": [{"key": "A", "input": {"name": "A", "type": "number", "description": "x", "default": "1"}}]
            }
        },
        {"config": {"env": [{"key": "A", "input": {"name": "A", "type": "string", "description": "x" * 190}}]}},
        {"config": {"env": [{"key": "A"}]}},
    ],
)
def test_what_the_hub_refuses_is_refused_here(change: dict[str, Any]) -> None:
    wrong = json.loads((FOLDER / "hub.json").read_text("utf-8"))
    wrong |= change | ({"config": wrong["config"] | change["config"]} if "config" in change else {})
    with pytest.raises(ValidationError):
        Hub.model_validate_json(json.dumps(wrong))


def test_every_setting_for_users_is_a_variable() -> None:
    keys = [variable.key for variable in hub().config.env]
    assert len(keys) == len(set(keys))
    settings = {name.upper() for name in Settings.model_fields}
    assert settings > NOT_FOR_USERS
    assert set(keys) == settings - NOT_FOR_USERS | {"HF_TOKEN", "RUNPOD_INIT_TIMEOUT"}


def test_secrets_are_empty_texts() -> None:
    assert all((form(key).type, form(key).default, form(key).options) == ("string", None, None) for key in SECRETS)


@pytest.mark.parametrize("key", FOR_USERS)
def test_the_worker_takes_what_the_form_offers(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = form(key)
    take = partial(read, monkeypatch, key)
    if shown.default is not None:
        assert getattr(Settings(), key.lower()) == shown.default
    for end, beyond in ((shown.min, -1), (shown.max, 1)):
        if end is not None:
            assert take(end) == end
            with pytest.raises(ValidationError):
                take(end + beyond)
    if shown.type == "boolean":
        assert (take(shown.trueValue), take(shown.falseValue)) == (True, False)
    if shown.type == "string":
        assert shown.default is None
    for option in shown.options or []:
        assert take(option.value) == option.value


def test_the_form_offers_every_api() -> None:
    assert [option.value for option in form("API").options or []] == list(APIS)


@pytest.mark.parametrize("key", ["PLACEMENT", "DELIVERY"])
def test_the_form_offers_all_that_there_is(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError) as refused:
        read(monkeypatch, key, "none of them")
    expected = refused.value.errors()[0]["ctx"]["expected"]
    assert re.findall(r"'(\w+)'", expected) == [option.value for option in form(key).options or []]


def test_each_model_has_one_preset_and_one_option() -> None:
    assert [entry.defaults["MODEL"] for entry in hub().config.presets] == RUNNING
    assert [option.value for option in form("MODEL").options or []] == RUNNING


@pytest.mark.parametrize("model", RUNNING)
def test_the_worker_takes_a_presets_values(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in listed(model).defaults.items():
        assert read(monkeypatch, key, form(key).trueValue if value is True else value) == value
    assert Settings().allow_download == bool(MODELS[model].checkpoint.repository)


@each_preset
def test_a_licence_that_must_be_accepted_is_asked_for(preset: Preset) -> None:
    """With a switch that is off: only a user can accept it."""
    needs = any(checkpoint.needs_acceptance for checkpoint in preset.checkpoints)
    assert listed(preset.model.name).defaults.get("ACCEPT_TENCENT_LICENSE") is (False if needs else None)
    shown = form("ACCEPT_TENCENT_LICENSE")
    assert (shown.type, shown.default, shown.advanced) == ("boolean", False, False)


def chosen(preset: Preset, pool: str) -> str | None:
    """The leanest placement that a variant of the preset gets on a card of the pool, as the worker chooses it."""
    free = round(POOLS[pool] * USABLE * GIB)
    try:
        placements = [
            best_placement(declared_bytes(model.checkpoint), default_activations(model), free)
            for model in preset.models
        ]
    except JobError:
        return None
    return str(max(placements, key=LADDER.index))


@each_preset
def test_the_worker_finds_a_placement_on_a_presets_pools(preset: Preset) -> None:
    assert set(preset.models) <= set(VARIANTS[preset.model.name])
    said = {pool: placement.value for placement, pools in preset.pools.items() for pool in pools}
    assert said == {pool: placement for pool in POOLS if (placement := chosen(preset, pool))}


@each_preset
def test_a_preset_names_the_smallest_exact_gpu(preset: Preset) -> None:
    gb = int(re.findall(r"GPU of (\d+) GB", listed(preset.model.name).name)[0])
    for pool, size in POOLS.items():
        assert (chosen(preset, pool) not in (None, "fp8")) == (size >= gb), pool


def test_every_preset_is_exact_on_the_listings_pools() -> None:
    pools = hub().config.gpuIds.split(",")
    assert len(pools) <= 3  # as many as RunPod takes
    assert {chosen(preset, pool) for preset in PRESETS for pool in pools}.isdisjoint({None, "fp8"})


@each_preset
def test_the_disk_has_room_for_a_presets_weights(preset: Preset) -> None:
    """A sound model is made of files that lie there too until it is whole."""
    kept = sum(checkpoint.size for checkpoint in preset.checkpoints)
    published = sum(origin.size for checkpoint in preset.checkpoints for origin in checkpoint.origins)
    assert kept + published < 0.9e9 * preset.disk_gb
    assert preset.disk_gb <= hub().config.containerDiskInGb


@each_preset
def test_sound_fits_a_presets_pools(preset: Preset) -> None:
    if preset.sound is None:
        assert not listed(preset.model.name).defaults.get("ALLOW_DOWNLOAD")
        return
    assert preset.sound == SOUND_VARIANTS["foley"][0]
    parts = preset.sound.bytes_by_part(declared_sizes(preset.sound.checkpoint))
    for pool in (pool for pools in preset.pools.values() for pool in pools):
        room_for(
            preset.sound, parts, video=0, free=round(POOLS[pool] * USABLE * GIB)
        )  # raises an error if there is none


def test_both_files_allow_hosts_of_torchs_cuda() -> None:
    assert version("torch").partition("+")[0] == "2.13.0", "look up which CUDA its build on PyPI requires"
    versions = [tuple(map(int, allowed.split("."))) for allowed in hub().config.allowedCudaVersions]
    assert min(versions) == (13, 0) and {major for major, _ in versions} == {13}
    assert hub_tests().config.allowedCudaVersions == hub().config.allowedCudaVersions


def test_each_job_of_the_hub_becomes_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real handler on the shipped model. Its own limit ends a job that takes longer than the test allows."""
    for pair in hub_tests().config.env:
        monkeypatch.setenv(pair.key, pair.value)
    settings = Settings(output_dir=tmp_path, delivery="inline", keep_timings=False)
    engine = Engine(settings)
    engine.load(engine.survey().variant_for(settings.model or ""), Watch("start", lambda _: None, float("inf")))
    handler = Handler(settings, partial(job.run, engine=engine, settings=settings))
    for test in hub_tests().tests:
        answer = asyncio.run(
            handler.handle({"id": test.name, "input": test.input, "policy": {"executionTimeout": test.timeout}})
        )
        assert not answer.get("error"), answer
        assert answer["video"]["model"] == SHIPPED[0].name
        assert answer["video_url"].startswith(f"data:video/{answer['video']['container']};base64,")

"""Networks that lie elsewhere than on the device make the same clips; too little memory leads to a leaner placement."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import MochiTransformer3DModel
from diffusers.hooks import HookRegistry
from diffusers.models.autoencoders.autoencoder_kl_mochi import MochiDecoder3D
from numpy.typing import NDArray
from safetensors.torch import load_file
from structlog.testing import capture_logs

from builder.make_tiny import FAMILIES
from builder.tiny import wan
from tests.engine import making
from tests.engine.clips import clip
from tests.watches import watch_that
from videoworker.engine.device import Device
from videoworker.engine.engine import Engine
from videoworker.engine.placing import place
from videoworker.errors import Code, JobError
from videoworker.models import MODELS, VARIANTS
from videoworker.planning.placement import LADDER, Placement
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

WITH_A_SAMPLER = list(FAMILIES)
EXACT = [placement for placement in LADDER if placement.is_exact and placement is not Placement.RESIDENT]


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small checkpoints of every family."""
    folder = tmp_path_factory.mktemp("weights")
    for family in WITH_A_SAMPLER:
        FAMILIES[family].save(folder / MODELS[family].checkpoint.folder, FAMILIES[family].VARIANTS[0])
    return folder


def loaded(family: str, weights_dir: Path, placement: Placement | None = None) -> Engine:
    return making.loaded(family, Settings(weights_dir=weights_dir, placement=placement and placement.value))


def networks_of(engine: Engine) -> Any:
    assert engine._device.loaded is not None
    return engine._device.loaded.networks


def frames_of(engine: Engine, family: str, **asked: Any) -> NDArray[np.int64]:
    return np.stack(list(clip(engine, family, **asked))).astype(int)


def offloaded(engine: Engine) -> set[str]:
    """The names of the networks whose layers are fetched as they run."""
    loaded = networks_of(engine)
    networks = {field.name: getattr(loaded, field.name) for field in fields(loaded)}
    return {
        name
        for name, network in networks.items()
        if isinstance(network, torch.nn.Module)
        and any(
            hasattr(layer, "_diffusers_hook")
            and HookRegistry.check_if_exists_or_initialize(layer).get_hook("group_offloading")
            for layer in network.modules()
        )
    }


@pytest.mark.parametrize("family", WITH_A_SAMPLER)
def test_offloaded_networks_make_the_clip_that_resident_ones_make_unless_rounded(
    family: str, weights_dir: Path
) -> None:
    expected = frames_of(loaded(family, weights_dir), family)
    for placement in EXACT:
        engine = loaded(family, weights_dir, placement)
        assert {"text_encoder"} <= offloaded(engine) and "vae" not in offloaded(engine)
        assert ("transformer" in offloaded(engine)) == (placement is Placement.GROUP_OFFLOAD)
        assert np.array_equal(frames_of(engine, family), expected), placement
    engine = loaded(family, weights_dir, Placement.FP8)
    kept = {parameter.dtype for parameter in networks_of(engine).transformer.parameters()}
    assert torch.float8_e4m3fn in kept and "transformer" in offloaded(engine)
    assert 0 < np.abs(frames_of(engine, family) - expected).mean() < 16  # of 255: rounded weights


def test_of_two_denoisers_one_at_a_time_makes_the_same_clip(tmp_path: Path) -> None:
    model = next(variant for variant in VARIANTS["wan"] if variant.variant == "t2v-a14b")
    wan.save(tmp_path / model.checkpoint.folder, model.variant)
    request = VideoRequest(api="native", prompt="a cat", width=32, height=32, num_frames=5, num_inference_steps=4)
    plan = plan_clip(request, replace(model, min_side=32))  # smaller than real networks make anything of
    made = [
        np.stack(list(making.frames(Engine(making.settings_for(tmp_path, placement)), plan)))
        for placement in ("resident", "one_denoiser", "group_offload")
    ]
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])


@dataclass(frozen=True)
class TwoDenoisers:
    transformer: torch.nn.Module
    transformer_2: torch.nn.Module
    device: torch.device
    dtype: torch.dtype = torch.float32


def test_of_two_denoisers_the_one_that_runs_lies_on_the_device() -> None:
    """On a device without numbers: what comes back from there whole was never given away."""
    host, device = torch.device("cpu"), torch.device("meta")
    first, second = (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).eval() for _ in range(2))
    checkpoint = next(variant for variant in VARIANTS["wan"] if variant.variant == "t2v-a14b").checkpoint
    expected = [{name: weight.clone() for name, weight in one.state_dict().items()} for one in (first, second)]
    placed = place(TwoDenoisers(first, second, host), checkpoint, device, Placement.ONE_DENOISER)
    assert placed.device == device

    def where() -> list[set[torch.device]]:
        return [{weight.device for weight in one.state_dict().values()} for one in (first, second)]

    inputs = torch.ones(1, 2, device=device)
    seen = [where()]
    for network in (first, first, second, first):
        with torch.inference_mode():
            assert network(inputs).device == device
        seen.append(where())
    first_alone, second_alone = [{device}, {host}], [{host}, {device}]
    assert seen == [[{host}, {host}], first_alone, first_alone, second_alone, first_alone]
    second_weights = second.state_dict()
    assert all(torch.equal(second_weights[name], weight) for name, weight in expected[1].items())


def test_a_denoiser_that_stays_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip of many steps has each come once."""
    fetched: list[str] = []
    to = torch.Tensor.to

    def noted(tensor: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        if isinstance(tensor, torch.Tensor) and arguments and arguments[0] == torch.device("meta"):
            fetched.append(str(tuple(tensor.shape)))
        return to(tensor, *arguments, **named)

    first, second = torch.nn.Linear(2, 3, bias=False), torch.nn.Linear(2, 5, bias=False)
    checkpoint = next(variant for variant in VARIANTS["wan"] if variant.variant == "t2v-a14b").checkpoint
    device = torch.device("meta")
    place(TwoDenoisers(first, second, torch.device("cpu")), checkpoint, device, Placement.ONE_DENOISER)
    inputs = torch.ones(1, 2, device=device)
    monkeypatch.setattr(torch.Tensor, "to", noted)
    for network in (first, first, first, second, second):
        network(inputs)
    assert fetched == ["(3, 2)", "(5, 2)"]


def test_the_settings_name_every_placement_there_is() -> None:
    names = get_args(get_args(Settings.model_fields["placement"].annotation)[0])
    assert names == tuple(placement.value for placement in LADDER)


@pytest.mark.parametrize("family", WITH_A_SAMPLER)
def test_bytes_by_network_are_those_of_the_files_in_the_dtype_asked_for(family: str, weights_dir: Path) -> None:
    """What stays in float32 is counted so."""
    checkpoint = MODELS[family].checkpoint
    folder, device = weights_dir / checkpoint.folder, Device()
    dtypes = device.dtypes(checkpoint)
    expected = {
        component.name: sum(
            tensor.numel() * (4 if component.keeps_float32(name) else dtypes[component.name].itemsize)
            for file in folder.rglob("*.safetensors")
            if file.is_relative_to(folder / component.place)
            for name, tensor in load_file(file).items()
            if name.startswith(component.loaded)
        )
        for component in checkpoint.components
    }
    weights = device.weight_bytes(checkpoint, folder)
    assert weights.denoisers == (expected.pop("transformer"),)
    assert weights.autoencoder == expected.pop("vae")
    assert weights.encoders == sum(expected.values())


def generate(engine: Engine, watch: Watch | None = None, **asked: Any) -> list[NDArray[np.uint8]]:
    """The shortest clip of Mochi, which needs a GPU unless its weights are small."""
    asked = {"width": 32, "height": 32, "num_frames": 7, "num_inference_steps": 2} | asked
    request = VideoRequest(api="native", prompt="a cat", model="mochi", **asked)
    plan = plan_clip(request, replace(MODELS["mochi"], min_side=32))  # smaller than real networks make anything of
    return list(making.frames(engine, plan, watch=watch))


def test_a_request_for_low_vram_offloads_and_the_next_job_may_keep_that(weights_dir: Path) -> None:
    engine = loaded("mochi", weights_dir)
    with capture_logs() as logs:
        saving = generate(engine, low_vram=True)
    assert offloaded(engine) == {"text_encoder", "transformer"}
    assert [entry["placement"] for entry in logs if entry["event"] == "weights loaded"] == ["group_offload"]
    with capture_logs() as logs:
        assert np.array_equal(generate(engine), saving)
    assert not [entry for entry in logs if entry["event"] == "weights loaded"]


def test_a_request_for_low_vram_loads_a_model_offloaded_at_once(weights_dir: Path) -> None:
    engine = Engine(Settings(weights_dir=weights_dir))
    with capture_logs() as logs:
        generate(engine, low_vram=True)
    assert [entry["placement"] for entry in logs if entry["event"] == "weights loaded"] == ["group_offload"]


Memory = Callable[[type[torch.nn.Module], int, int], list[int]]


@pytest.fixture
def too_little_memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Lets some calls of a kind of network run out of memory: `times`, after the first `before`. Gives all calls."""

    def limit(kind: type[torch.nn.Module], before: int, times: int) -> list[int]:
        forward, calls = kind.forward, list[int]()

        def failing(network: Any, *positional: Any, **named: Any) -> Any:
            calls.append(len(calls))
            if before < len(calls) <= before + times:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return forward(network, *positional, **named)

        monkeypatch.setattr(kind, "forward", failing)
        return calls

    return limit


def test_a_clip_is_decoded_in_as_large_pieces_as_there_is_memory_for(
    weights_dir: Path, too_little_memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has three latent frames. To save memory, or where nothing is known of it, each is decoded alone."""
    calls = too_little_memory(MochiDecoder3D, 0, 0)
    one_by_one = np.stack(generate(loaded("mochi", weights_dir), num_frames=13)).astype(int)
    assert len(calls) == 3
    monkeypatch.setattr(Device, "is_gpu", True)
    monkeypatch.setattr(Device, "free_bytes", 100 << 30)
    at_once = np.stack(generate(loaded("mochi", weights_dir), num_frames=13)).astype(int)
    assert len(calls) == 3 + 1
    assert np.abs(at_once - one_by_one).max() <= 1
    generate(loaded("mochi", weights_dir), num_frames=13, low_vram=True)
    assert len(calls) == 3 + 1 + 3


AGAIN = "The GPU's memory ran out; made again with the placement text_encoder_offload."


@pytest.mark.parametrize(("kind", "before"), [(MochiTransformer3DModel, 0), (MochiDecoder3D, 1)])
def test_a_clip_that_runs_out_of_memory_is_made_again_with_less_and_says_so(
    weights_dir: Path, too_little_memory: Memory, kind: type[torch.nn.Module], before: int
) -> None:
    """In its first step, and in the middle of its frames: none is given twice."""
    expected = generate(loaded("mochi", weights_dir), num_frames=13)
    watch = watch_that()
    engine = loaded("mochi", weights_dir)
    too_little_memory(kind, before, 1)
    assert np.array_equal(generate(engine, watch, num_frames=13), expected)
    assert watch.notes == (AGAIN,) and offloaded(engine) == {"text_encoder"}


def test_a_second_time_ends_the_job_and_asks_for_a_new_process(weights_dir: Path, too_little_memory: Memory) -> None:
    engine = loaded("mochi", weights_dir)
    calls = too_little_memory(MochiTransformer3DModel, 0, 2)
    with pytest.raises(JobError) as caught:
        generate(engine)
    error = caught.value
    assert (error.code, error.refresh_worker) == (Code.OUT_OF_MEMORY, True)
    assert len(calls) == 2
    watch = watch_that()
    assert generate(engine, watch)  # should a job come all the same, it finds the weights whole
    assert watch.notes == ()


def test_after_the_leanest_placement_there_is_no_other(weights_dir: Path, too_little_memory: Memory) -> None:
    calls = too_little_memory(MochiTransformer3DModel, 0, 1)
    engine = loaded("mochi", weights_dir, Placement.FP8)
    with pytest.raises(JobError) as caught:
        generate(engine)
    assert caught.value.refresh_worker and len(calls) == 1


def test_frames_that_were_given_are_not_continued_with_rounded_weights(
    weights_dir: Path, too_little_memory: Memory
) -> None:
    engine = loaded("mochi", weights_dir, Placement.GROUP_OFFLOAD)
    calls = too_little_memory(MochiDecoder3D, 1, 1)
    with pytest.raises(JobError) as caught:
        generate(engine, num_frames=13)
    assert caught.value.code is Code.OUT_OF_MEMORY and len(calls) == 2


def test_exact_has_no_rounded_weights(weights_dir: Path, too_little_memory: Memory) -> None:
    """Neither if memory runs out, nor if the operator's placement rounds them."""
    calls = too_little_memory(MochiTransformer3DModel, 0, 1)
    engine = loaded("mochi", weights_dir, Placement.GROUP_OFFLOAD)
    with pytest.raises(JobError) as caught:
        generate(engine, effort="exact")
    assert caught.value.code is Code.OUT_OF_MEMORY and len(calls) == 1
    with pytest.raises(JobError) as refused:
        generate(loaded("mochi", weights_dir, Placement.FP8), effort="exact")
    assert [(problem.field, problem.given) for problem in refused.value.fields] == [("effort", "exact")]
    assert refused.value.message == "effort: full or fast: this worker's PLACEMENT rounds the weights"


def test_without_a_leaner_placement_the_pieces_are_the_least(
    weights_dir: Path, too_little_memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "is_gpu", True)
    monkeypatch.setattr(Device, "free_bytes", 100 << 30)
    calls, watch = too_little_memory(MochiDecoder3D, 0, 1), watch_that()
    engine = loaded("mochi", weights_dir, Placement.GROUP_OFFLOAD)
    assert len(generate(engine, watch, num_frames=13, effort="exact")) == 13
    assert len(calls) == 1 + 3
    assert watch.notes == ("The GPU's memory ran out; made again with the placement group_offload.",)


def test_rounded_weights_stand_in_the_answer(weights_dir: Path) -> None:
    watch = watch_that()
    generate(loaded("mochi", weights_dir, Placement.FP8), watch)
    assert watch.notes == ("The model's weights were rounded to 8 bits, to fit into the GPU's memory.",)

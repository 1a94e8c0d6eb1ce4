"""The engine with a small checkpoint of random numbers: from a plan to frames, and all ways to stop before."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXEncoder3D
from numpy.typing import NDArray
from torch.nn.modules.module import register_module_forward_hook

from tests.engine import making
from tests.families.running import reader
from tests.watches import unheard, watch_that
from videoworker.engine.clip import Clip
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.families.cogvideox import family as cogvideox
from videoworker.models.sketch import SKETCH
from videoworker.planning.plan import plan_clip
from videoworker.request import Progress, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

Frames = list[NDArray[np.uint8]]
PROMPT = "a red circle moving right"


@pytest.fixture
def engine(tiny: Settings) -> Engine:
    return making.loaded("sketch", tiny)


@pytest.fixture
def transformer_inputs() -> Iterator[list[dict[str, torch.Tensor]]]:
    """What the transformer was called with, call by call."""
    yield from recorded(CogVideoXTransformer3DModel)


@pytest.fixture
def encoder_inputs() -> Iterator[list[dict[str, torch.Tensor]]]:
    """What the autoencoder's encoder was called with, call by call."""
    yield from recorded(CogVideoXEncoder3D)


def recorded(kind: type[torch.nn.Module]) -> Iterator[list[dict[str, torch.Tensor]]]:
    calls: list[dict[str, torch.Tensor]] = []

    def note(module: torch.nn.Module, positional: tuple[Any, ...], named: dict[str, Any], output: object) -> None:
        if isinstance(module, kind):
            inputs = {str(number): value for number, value in enumerate(positional)} | named
            calls.append(
                {name: value.clone().cpu() for name, value in inputs.items() if isinstance(value, torch.Tensor)}
            )

    handle = register_module_forward_hook(note, with_kwargs=True)
    yield calls
    handle.remove()


def generated(
    engine: Engine,
    seed: int = 1,
    image: NDArray[np.uint8] | None = None,
    watch: Watch | None = None,
    **asked: Any,
) -> Iterator[NDArray[np.uint8]]:
    defaults: dict[str, Any] = {"prompt": PROMPT, "width": 192, "height": 192, "num_inference_steps": 2}
    request = VideoRequest(api="native", **defaults | asked)
    clip = Clip(request.prompt, request.negative_prompt or "", image, seed)
    return making.frames(engine, plan_clip(request, SKETCH), clip, watch)


def picture(width: int = 192, height: int = 192) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def farthest(one: Frames, other: Frames) -> int:
    """The largest difference between two clips of the same length, in 8-bit levels."""
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(one, other, strict=True))


def cancelled_when(is_time: Callable[[Progress], bool]) -> tuple[Watch, list[Progress]]:
    """A watch that is cancelled at the first report that `is_time` is true of."""
    reports: list[Progress] = []

    def report(progress: Progress) -> None:
        reports.append(progress)
        if is_time(progress):
            watch.cancel.set()

    watch = Watch("a", report, 1000.0)
    return watch, reports


@pytest.mark.parametrize(("num_frames", "segments"), [(1, 1), (24, 1), (25, 1), (26, 2), (61, 3)])
def test_a_clip_has_exactly_its_frames_at_the_native_size(engine: Engine, num_frames: int, segments: int) -> None:
    watch, reports = cancelled_when(lambda progress: False)
    frames = list(generated(engine, watch=watch, num_frames=num_frames, width=192, height=320, num_inference_steps=1))
    assert len(frames) == num_frames
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((320, 192, 3), "uint8")}
    assert [report.stage for report in reports].count("denoise") == segments


def test_frames_come_before_the_clip_is_whole(engine: Engine) -> None:
    watch, reports = cancelled_when(lambda progress: False)
    frames = generated(engine, watch=watch)
    next(frames)
    assert (reports[-1].stage, reports[-1].step, reports[-1].steps) == ("decode", 3, 7)
    assert len(list(frames)) == 24


def test_a_seed_means_the_same_frames_each_time_and_another_seed_means_others(engine: Engine) -> None:
    first, again, other = (list(generated(engine, seed=seed)) for seed in (1, 1, 2))
    assert farthest(first, again) <= 1
    assert farthest(first, other) > 10


def test_the_parts_of_a_clip_are_not_all_of_the_same_noise(
    engine: Engine, transformer_inputs: list[dict[str, torch.Tensor]]
) -> None:
    list(generated(engine, num_frames=45, num_inference_steps=1, guidance_scale=1.0))
    first, second = (call["hidden_states"][:, :, :4] for call in transformer_inputs)
    assert (first - second).abs().max() > 1


def test_a_part_is_conditioned_on_the_last_frames_of_the_part_before(
    engine: Engine, encoder_inputs: list[dict[str, torch.Tensor]]
) -> None:
    frames = list(generated(engine, num_frames=45, num_inference_steps=1))
    shown = torch.cat([call["0"] for call in encoder_inputs], dim=2)  # [1, 3, 5, 192, 192]
    expected = torch.from_numpy(np.stack(frames[20:25])).permute(3, 0, 1, 2)[None] / 127.5 - 1
    assert shown.shape == expected.shape
    assert (shown.float() - expected).abs().max() < 0.01  # bfloat16 holds eight bits


def test_a_first_picture_is_what_the_transformer_sees_beside_the_noise_of_the_first_latent_alone(
    engine: Engine, image_checkpoint: Path, transformer_inputs: list[dict[str, torch.Tensor]]
) -> None:
    exact = cogvideox.load(reader(image_checkpoint))
    known = cogvideox.encode_frames(exact, picture()[None])
    list(generated(engine, image=picture(), guidance_scale=1.0))
    list(generated(engine, guidance_scale=1.0))
    with_picture, without = (call["hidden_states"][:, :, 4:].float() for call in transformer_inputs[::2])
    assert (with_picture[:, :1] - known).abs().max() < 0.1 * known.abs().max()
    assert not with_picture[:, 1:].any()
    assert not without.any()


def test_the_negative_prompt_and_the_prompt_reach_the_transformer_side_by_side(
    engine: Engine, image_checkpoint: Path, transformer_inputs: list[dict[str, torch.Tensor]]
) -> None:
    list(generated(engine, guidance_scale=3.0, negative_prompt="a blue square", num_inference_steps=3))
    assert len(transformer_inputs) == 3
    exact = cogvideox.load(reader(image_checkpoint))
    states = torch.cat(cogvideox.encode_prompts(exact, ["a blue square", PROMPT], None)[0])
    for call in transformer_inputs:
        assert call["encoder_hidden_states"].shape == states.shape
        assert (call["encoder_hidden_states"].float() - states).abs().max() < 0.1
        negative, positive = call["hidden_states"]
        assert torch.equal(negative, positive)
    assert (states[0] - states[1]).abs().max() > 0.5  # so that the order is seen


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0])
def test_without_guidance_the_transformer_runs_once_per_step(
    engine: Engine, transformer_inputs: list[dict[str, torch.Tensor]], guidance_scale: float
) -> None:
    list(generated(engine, guidance_scale=guidance_scale, negative_prompt="a blue square", num_inference_steps=3))
    assert [len(call["hidden_states"]) for call in transformer_inputs] == [1, 1, 1]


def test_another_guidance_scale_gives_other_frames(engine: Engine) -> None:
    clips = [list(generated(engine, guidance_scale=scale)) for scale in (1.0, 3.0, 12.0)]
    assert farthest(clips[0], clips[1]) > 1 and farthest(clips[1], clips[2]) > 1


def test_tokens_that_did_not_fit_are_noted(engine: Engine) -> None:
    watch = watch_that()
    next(generated(engine, prompt="red " * 20, watch=watch))
    assert watch.notes == ("The model read the prompt without its last 41 tokens, which do not fit.",)


def test_a_cancel_while_denoising_stops_at_that_step(
    engine: Engine, transformer_inputs: list[dict[str, torch.Tensor]]
) -> None:
    watch, _ = cancelled_when(lambda progress: progress.stage == "denoise" and progress.step == 2)
    with pytest.raises(JobError) as caught:
        list(generated(engine, watch=watch, num_inference_steps=5))
    assert caught.value.code is Code.CANCELLED
    assert len(transformer_inputs) == 2


def test_a_cancel_while_decoding_stops_before_the_next_chunk(engine: Engine) -> None:
    watch, reports = cancelled_when(lambda progress: progress.stage == "decode" and progress.step == 5)
    frames = []
    with pytest.raises(JobError) as caught:
        for frame in generated(engine, watch=watch):
            frames.append(frame)
    assert caught.value.code is Code.CANCELLED
    assert len(frames) == 9  # of the first three latents
    assert reports[-1].step == 5


def test_a_cancelled_engine_makes_the_next_clip_as_if_nothing_had_been(engine: Engine) -> None:
    before = list(generated(engine))
    watch, _ = cancelled_when(lambda progress: progress.stage == "decode")
    with pytest.raises(JobError):
        list(generated(engine, watch=watch, num_frames=61))
    assert farthest(before, list(generated(engine))) <= 1


def test_a_job_whose_time_is_over_stops_before_it_begins_to_denoise(
    engine: Engine, transformer_inputs: list[dict[str, torch.Tensor]]
) -> None:
    with pytest.raises(JobError) as caught:
        list(generated(engine, watch=Watch("a", unheard, 1e-9)))
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert transformer_inputs == []


def test_the_time_of_each_stage_is_measured_as_it_runs(engine: Engine) -> None:
    watch = watch_that()
    frames = generated(engine, watch=watch)
    assert watch.timings == {}  # nothing runs before the first frame is asked for
    next(frames)
    first = watch.timings["decode"]
    list(frames)
    assert set(watch.timings) == {"encode_prompt", "denoise", "decode"}
    assert all(seconds > 0 for seconds in watch.timings.values()) and watch.timings["decode"] > first


def test_loading_again(engine: Engine) -> None:
    """What is loaded is kept: nothing is read again."""
    networks = engine._device.loaded
    engine.load(SKETCH, watch_that())
    assert engine._device.loaded is networks and engine.loaded == SKETCH.checkpoint


@pytest.mark.parametrize(
    ("name", "code"),
    [("cogvideox", Code.MODEL_NOT_LOADED), ("hunyuanvideo", Code.MODEL_NOT_LOADED), ("sketchy", Code.INVALID_FIELD)],
)
def test_model_that_cannot_be_loaded(engine: Engine, name: str, code: Code) -> None:
    """The one before stays in place."""
    with pytest.raises(JobError) as caught:
        engine.load(engine.survey().variant_for(name), watch_that())
    assert caught.value.code is code
    assert name in caught.value.message
    assert engine.loaded == SKETCH.checkpoint
    assert len(list(generated(engine, num_inference_steps=1))) == 25


@pytest.mark.parametrize("calls", [1, 100, 1000])
@pytest.mark.parametrize("code", [Code.CANCELLED, Code.GENERATION_TIMEOUT])
def test_stop_while_weights_load(tiny: Settings, calls: int, code: Code) -> None:
    """Cancel and time limit are heard with the next tensor, and leave nothing behind that the next job could meet."""

    class Stopped(Watch):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks > calls:
                raise JobError(code, "stopped")

    expected = list(generated(Engine(tiny), num_inference_steps=1))
    engine, watch = Engine(tiny), Stopped("a", unheard, 1000.0)
    with pytest.raises(JobError) as caught:
        next(generated(engine, watch=watch))
    assert caught.value.code is code
    assert watch.checks <= calls + 2  # the one that stopped it, and one that asks whether it was stopped
    assert engine.loaded is None
    assert torch.get_default_dtype() == torch.float32  # which the libraries change while they read
    assert farthest(expected, list(generated(engine, num_inference_steps=1))) <= 1


def test_weights_too_large_for_a_processor(
    image_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cogvideox"
    (folder / "transformer").mkdir(parents=True)
    for name in ("model_index.json", "vae", "text_encoder", "tokenizer", "scheduler"):
        (folder / name).symlink_to(image_checkpoint / name)
    size = 2_000_000_001
    header = json.dumps({"weight": {"dtype": "I8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with (folder / "transformer" / "diffusion_pytorch_model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)  # a hole: no block of it is on disk
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    engine = Engine(Settings(weights_dir=tmp_path))
    with pytest.raises(JobError) as caught:
        engine.load(engine.survey().variant_for("cogvideox"), watch_that())
    assert caught.value.code is Code.GPU_UNAVAILABLE
    assert "cogvideox needs one" in caught.value.message and "CPU=allow" in caught.value.message

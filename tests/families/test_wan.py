"""Wan 2.2 beside diffusers' own pipelines: the same numbers, streamed, stoppable."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from diffusers.pipelines.wan import pipeline_wan_i2v
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from numpy.typing import NDArray
from PIL import Image

from builder.tiny import wan as tiny_wan
from builder.tiny.wan import LATENT_CHANNELS, MAX_TEXT_TOKENS
from tests.stopping import cancelled_at
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families import family
from videoworker.families.wan.family import Networks
from videoworker.models.piece import LEAST, Piece
from videoworker.models.sampling import Sampling
from videoworker.models.video_model import VideoModel
from videoworker.models.wan import VARIANTS
from videoworker.request import Progress
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch
from videoworker.weights.convert import narrow
from videoworker.weights.verify import verify

CPU = torch.device("cpu")
FAMILY = family("wan")
PROMPT, NEGATIVE = "a red circle moving right", "a blue square"
WIDTH, HEIGHT, FRAMES, STEPS = 96, 64, 9, 4
GUIDANCE = 5.0
SAMPLING, SHAPE = Sampling(STEPS, GUIDANCE), Shape(FRAMES, WIDTH, HEIGHT)
CLOSE = 1e-4
EXACT = 2e-6


@dataclass(frozen=True)
class Case:
    """A variant, and the pipeline of theirs that makes the same of it."""

    variant: str
    pipeline: Any

    @property
    def has_image(self) -> bool:
        return self.pipeline is WanImageToVideoPipeline


TI2V, TI2V_IMAGE = Case("ti2v-5b", WanPipeline), Case("ti2v-5b", WanImageToVideoPipeline)
T2V, I2V = Case("t2v-a14b", WanPipeline), Case("i2v-a14b", WanImageToVideoPipeline)
CASES = [
    pytest.param(case, id=f"{case.variant}{'-image' if case.has_image else ''}")
    for case in (TI2V, TI2V_IMAGE, T2V, I2V)
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wan")
    for variant in tiny_wan.VARIANTS:
        tiny_wan.save(folder / variant, variant)
    return {variant: folder / variant for variant in tiny_wan.VARIANTS}


def loaded(checkpoint: Path, dtype: torch.dtype = torch.float32) -> Networks:
    dtypes = {"text_encoder": dtype, "transformer": dtype, "transformer_2": dtype, "vae": torch.float32}
    networks: Networks = FAMILY.load(Reader(checkpoint, CPU, dtypes))
    return networks


@pytest.fixture(scope="module")
def networks(checkpoints: dict[str, Path]) -> Networks:
    """Of TI2V-5B."""
    return loaded(checkpoints["ti2v-5b"])


@pytest.fixture(scope="module")
def both(checkpoints: dict[str, Path]) -> Iterator[Callable[[Case], tuple[Networks, Any]]]:
    """The networks of a case, and the pipeline; each is loaded once."""

    @cache
    def load(case: Case) -> tuple[Networks, Any]:
        pipeline = case.pipeline.from_pretrained(checkpoints[case.variant])
        pipeline.set_progress_bar_config(disable=True)
        return loaded(checkpoints[case.variant]), pipeline

    with pytest.MonkeyPatch.context() as patch:
        # Theirs from images does not ask whether ftfy is installed before it calls it; theirs from text does.
        patch.setattr(pipeline_wan_i2v, "prompt_clean", prompt_clean)
        yield load


Both = Callable[[Case], tuple[Networks, Any]]


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frames_of(width: int = WIDTH, height: int = HEIGHT, count: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def denoised(
    networks: Networks,
    sampling: Sampling = SAMPLING,
    shape: Shape = SHAPE,
    first: NDArray[np.uint8] | None = None,
    *,
    prompts: Sequence[str] = (NEGATIVE, PROMPT),
    watch: Watch | None = None,
) -> torch.Tensor:
    drawing = generator()
    noise = FAMILY.get_noise(networks, shape, drawing)
    asked = prompts if sampling.guidance_scale > 1 else prompts[-1:]
    encoded, cut = FAMILY.encode_prompts(networks, asked, None)
    assert cut == 0
    known = encoded_frames(networks, first) if first is not None else None
    start = FAMILY.start(networks, Inputs(noise, encoded, known, sampling, drawing, first))
    return denoise(start, watch or watch_that())


def encoded_frames(networks: Networks, frames: NDArray[np.uint8]) -> torch.Tensor:
    assert FAMILY.encode_frames is not None
    return FAMILY.encode_frames(networks, frames)


def decoded(networks: Networks, latents: torch.Tensor, piece: Piece = LEAST) -> torch.Tensor:
    return torch.cat(list(FAMILY.decode(networks, latents, generator(), watch_that(), piece)), dim=2)


@pytest.mark.parametrize("model", VARIANTS, ids=lambda model: model.variant)
def test_a_checkpoint_has_the_published_layout(model: VideoModel, checkpoints: dict[str, Path]) -> None:
    verify(model.checkpoint, checkpoints[model.variant])


@pytest.mark.parametrize(("guidance_scale", "negative_prompt"), [(1.0, ""), (5.0, ""), (5.0, NEGATIVE)])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 128)])
@pytest.mark.parametrize("num_frames", [5, 13])
@pytest.mark.parametrize("case", CASES)
def test_latents_are_those_of_diffusers(
    both: Both, case: Case, num_frames: int, width: int, height: int, guidance_scale: float, negative_prompt: str
) -> None:
    networks, pipeline = both(case)
    first = frames_of(width, height)
    theirs = pipeline(
        prompt=PROMPT,
        negative_prompt=negative_prompt,
        width=width,
        height=height,
        num_frames=num_frames,
        num_inference_steps=STEPS,
        guidance_scale=guidance_scale,
        generator=generator(),
        output_type="latent",
        **({"image": Image.fromarray(first[0])} if case.has_image else {}),
    ).frames  # [1, C, T, h, w]
    ours = denoised(
        networks,
        Sampling(STEPS, guidance_scale),
        Shape(num_frames, width, height),
        first if case.has_image else None,
        prompts=(negative_prompt, PROMPT),
    )
    ratio = 16 if case.variant == "ti2v-5b" else 8
    assert ours.dtype == torch.float32
    assert ours.shape == (1, (num_frames - 1) // 4 + 1, LATENT_CHANNELS, height // ratio, width // ratio)
    assert (ours.transpose(1, 2) - theirs).abs().max() < CLOSE


@pytest.mark.parametrize("case", CASES)
def test_frames_are_those_of_diffusers(both: Both, case: Case) -> None:
    """The whole way, with a prompt that is cleaned first, and streamed."""
    networks, pipeline = both(case)
    prompt, first = "  a red &amp;amp;\n circle ", frames_of()
    theirs = pipeline(
        prompt=prompt,
        negative_prompt=NEGATIVE,
        width=WIDTH,
        height=HEIGHT,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=generator(),
        output_type="pt",
        **({"image": Image.fromarray(first[0])} if case.has_image else {}),
    ).frames  # [1, n, 3, height, width] from 0 to 1
    latents = denoised(networks, first=first if case.has_image else None, prompts=(NEGATIVE, prompt))
    pixels = decoded(networks, latents)
    assert pixels.shape == (1, 3, FRAMES, HEIGHT, WIDTH)
    assert (pixels.transpose(1, 2) / 2 + 0.5 - theirs).abs().max() < CLOSE


@pytest.mark.parametrize("scales", [(4.0, 3.0), (4.0, 1.0)])
@pytest.mark.parametrize("case", [T2V, I2V], ids=lambda case: case.variant)
def test_guidance_of_two_scales(both: Both, case: Case, scales: tuple[float, float]) -> None:
    """The first transformer makes the steps of high noise by one scale, the second those of low noise by another."""
    networks, pipeline = both(case)
    high, low = scales
    first = frames_of()
    theirs = pipeline(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        width=WIDTH,
        height=HEIGHT,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=high,
        guidance_scale_2=low,
        generator=generator(),
        output_type="latent",
        **({"image": Image.fromarray(first[0])} if case.has_image else {}),
    ).frames
    sampling = Sampling(STEPS, high, low_noise_guidance_scale=low)
    ours = denoised(networks, sampling, first=first if case.has_image else None)
    assert (ours.transpose(1, 2) - theirs).abs().max() < CLOSE


@pytest.mark.parametrize(("steps", "high"), [(1, 1), (4, 2), (20, 7)])
def test_each_transformer_has_its_steps(both: Both, steps: int, high: int) -> None:
    """The checkpoint's shift of 3 makes noise of 0.875 of 0.7, so that of 20 steps 7 begin with as much or more."""
    networks, _ = both(T2V)
    calls: list[str] = []
    handles = [
        getattr(networks, name).register_forward_pre_hook(lambda *_, name=name: calls.append(name))
        for name in ("transformer", "transformer_2")
    ]
    denoised(networks, Sampling(steps, 1.0))
    for handle in handles:
        handle.remove()
    assert calls == ["transformer"] * high + ["transformer_2"] * (steps - high)


def test_the_flow_shift_of_a_request(networks: Networks, checkpoints: dict[str, Path]) -> None:
    pipeline = WanPipeline.from_pretrained(checkpoints["ti2v-5b"])
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = UniPCMultistepScheduler.from_config(pipeline.scheduler.config, flow_shift=2.0)
    theirs = pipeline(
        prompt=PROMPT,
        width=WIDTH,
        height=HEIGHT,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=1.0,
        generator=generator(),
        output_type="latent",
    ).frames
    ours = denoised(networks, Sampling(STEPS, 1.0, flow_shift=2.0))
    assert (ours.transpose(1, 2) - theirs).abs().max() < CLOSE
    assert (ours - denoised(networks, Sampling(STEPS, 1.0))).abs().max() > 100 * CLOSE


@pytest.mark.parametrize(("count", "latents"), [(1, 1), (5, 2)])
def test_known_frames_stay(networks: Networks, count: int, latents: int) -> None:
    frames = frames_of(count=count)
    known = encoded_frames(networks, frames)
    assert known.shape == (1, latents, LATENT_CHANNELS, HEIGHT // 16, WIDTH // 16) and known.dtype == torch.float32
    made = denoised(networks, shape=Shape(17, WIDTH, HEIGHT), first=frames)
    free = denoised(networks, shape=Shape(17, WIDTH, HEIGHT))
    assert torch.equal(made[:, :latents], known)
    assert (made[:, latents:] - free[:, latents:]).abs().max() > 100 * CLOSE


def test_tokens_that_do_not_fit(networks: Networks) -> None:
    (states,), cut = FAMILY.encode_prompts(networks, ["r" * (MAX_TEXT_TOKENS + 4)], None)
    assert (states.shape[1], cut) == (MAX_TEXT_TOKENS, 6)  # the mark where the text begins, and the end mark
    (states,), cut = FAMILY.encode_prompts(networks, ["red"], None)
    assert (states.shape[1], cut) == (MAX_TEXT_TOKENS, 0)
    assert states[:, :5].abs().amin() > 0 and not states[:, 5:].any()


@pytest.mark.parametrize(("count", "at_once"), [(1, 1), (2, 1), (5, 1), (5, 3)])
@pytest.mark.parametrize(("case", "ratio"), [(TI2V, 16), (T2V, 8)], ids=["ti2v-5b", "a14b"])
def test_a_stream_of_latents_decodes_to_the_whole(both: Both, case: Case, ratio: int, count: int, at_once: int) -> None:
    networks, _ = both(case)
    # In double precision, so that a difference in kind is seen, not rounding; diffusers enlarges in float32 yet.
    networks = replace(networks, vae=deepcopy(networks.vae).double())
    shape = (1, count, LATENT_CHANNELS, 4, 6)
    latents = torch.randn(shape, generator=generator(2), dtype=torch.float64)
    config = networks.vae.config
    mean, deviation = (torch.tensor(one).view(1, -1, 1, 1, 1) for one in (config.latents_mean, config.latents_std))
    with torch.inference_mode():
        whole = networks.vae.decode(latents.transpose(1, 2) * deviation + mean).sample
    streamed = decoded(networks, latents, Piece(at_once))
    assert streamed.shape == whole.shape == (1, 3, 4 * count - 3, 4 * ratio, 6 * ratio)
    assert (streamed - whole).abs().max() < EXACT
    assert streamed.abs().max() <= 1


def test_frames_come_while_latents_wait(networks: Networks) -> None:
    reports: list[Progress] = []
    watch = watch_that(reports.append)
    pieces = FAMILY.decode(networks, torch.zeros((1, 20, LATENT_CHANNELS, 2, 2)), generator(), watch, LEAST)
    assert next(pieces).shape[2] == 1
    assert [(one.stage, one.step, one.steps) for one in reports] == [("decode", 1, 20)]
    assert sum(piece.shape[2] for piece in pieces) == 19 * 4
    assert reports[-1].step == 20


def test_a_cancel_stops_denoising_at_its_step(networks: Networks) -> None:
    before = denoised(networks)
    watch, reports = cancelled_at(2)
    with pytest.raises(JobError) as caught:
        denoised(networks, watch=watch)
    assert caught.value.code is Code.CANCELLED
    assert [(one.stage, one.step) for one in reports] == [("denoise", 1), ("denoise", 2)]
    assert torch.equal(denoised(networks), before)


def test_a_cancel_stops_decoding_and_leaves_nothing_behind(networks: Networks) -> None:
    latents = torch.randn((1, 4, LATENT_CHANNELS, 2, 2), generator=generator())
    before = decoded(networks, latents)
    held = {name for module in networks.vae.modules() for name, value in vars(module).items() if holds_tensor(value)}
    watch, _ = cancelled_at(2)
    pieces = FAMILY.decode(networks, latents.flip(1), generator(), watch, LEAST)
    next(pieces)
    with pytest.raises(JobError) as caught:
        next(pieces)
    assert caught.value.code is Code.CANCELLED
    after = {name for module in networks.vae.modules() for name, value in vars(module).items() if holds_tensor(value)}
    assert after == held
    assert torch.equal(decoded(networks, latents), before)


def holds_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (isinstance(value, list) and any(map(holds_tensor, value)))


def test_in_16_bits(checkpoints: dict[str, Path]) -> None:
    """What the published model computes in float32 stays so, and the latents between the steps do."""
    networks = loaded(checkpoints["ti2v-5b"], torch.bfloat16)
    kept = {
        name.split(".")[-2] if "norm" in name or "linear" in name else name.split(".")[-1]
        for name, parameter in networks.transformer.named_parameters()
        if parameter.dtype == torch.float32
    }
    assert kept == {"linear_1", "linear_2", "scale_shift_table", "norm2"}
    assert networks.transformer.blocks[0].ffn.net[2].weight.dtype == torch.bfloat16
    assert networks.transformer.condition_embedder.text_embedder.linear_1.weight.dtype == torch.bfloat16
    made = denoised(networks)
    assert made.dtype == torch.float32
    assert 0 < (made - denoised(loaded(checkpoints["ti2v-5b"]))).abs().max() < 0.5


def test_fetched_weights_are_the_published_ones(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """What a fetch casts to 16 bits is what the network casts to when it reads the published files."""
    published = checkpoints["ti2v-5b"] / "transformer"
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    file = "diffusion_pytorch_model.safetensors"
    (component,) = (one for one in VARIANTS[0].checkpoint.components if one.name == "transformer")
    narrow(published / file, tmp_path / file, component.stored, component.float32_parts)
    assert (tmp_path / file).stat().st_size < 0.7 * (published / file).stat().st_size
    expected, fetched = (
        WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.bfloat16).state_dict()
        for folder in (published, tmp_path)
    )
    assert all(torch.equal(fetched[name], weight) for name, weight in expected.items())


def test_numbers_that_are_not_finite_are_no_video(checkpoints: dict[str, Path]) -> None:
    broken = loaded(checkpoints["ti2v-5b"])
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        denoised(broken)
    assert caught.value.code is Code.GENERATION_FAILED

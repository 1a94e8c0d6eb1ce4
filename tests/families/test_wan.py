"""Wan 2.2 beside diffusers' own pipelines: the same numbers, streamed, stoppable."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline
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
from videoworker.models.sampling import Sampling
from videoworker.models.wan import WAN
from videoworker.request import Progress
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch
from videoworker.weights.verify import verify

CPU = torch.device("cpu")
FAMILY = family("wan")
PROMPT, NEGATIVE = "a red circle moving right", "a blue square"
WIDTH, HEIGHT, FRAMES, STEPS = 96, 64, 9, 4
GUIDANCE = 5.0
SAMPLING, SHAPE = Sampling(STEPS, GUIDANCE), Shape(FRAMES, WIDTH, HEIGHT)
CLOSE = 1e-4
EXACT = 2e-6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wan")
    tiny_wan.save(folder, "ti2v-5b")
    return folder


def loaded(checkpoint: Path, dtype: torch.dtype = torch.float32) -> Networks:
    dtypes = {"text_encoder": dtype, "transformer": dtype, "vae": torch.float32}
    networks: Networks = FAMILY.load(Reader(checkpoint, CPU, dtypes))
    return networks


@pytest.fixture(scope="module")
def networks(checkpoint: Path) -> Networks:
    return loaded(checkpoint)


@pytest.fixture(scope="module", params=[WanPipeline, WanImageToVideoPipeline])
def pipeline(request: pytest.FixtureRequest, checkpoint: Path) -> Iterator[Any]:
    pipeline = request.param.from_pretrained(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    with pytest.MonkeyPatch.context() as patch:
        # Theirs from images does not ask whether ftfy is installed before it calls it; theirs from text does.
        patch.setattr(pipeline_wan_i2v, "prompt_clean", prompt_clean)
        yield pipeline


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frames_of(width: int = WIDTH, height: int = HEIGHT, count: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def denoised(
    networks: Networks,
    sampling: Sampling = SAMPLING,
    shape: Shape = SHAPE,
    known: torch.Tensor | None = None,
    *,
    prompts: Sequence[str] = (NEGATIVE, PROMPT),
    watch: Watch | None = None,
) -> torch.Tensor:
    drawing = generator()
    noise = FAMILY.get_noise(networks, shape, drawing)
    asked = prompts if sampling.guidance_scale > 1 else prompts[-1:]
    encoded, cut = FAMILY.encode_prompts(networks, asked, None)
    assert cut == 0
    start = FAMILY.start(networks, Inputs(noise, encoded, known, sampling, drawing))
    return denoise(start, watch or watch_that())


def decoded(networks: Networks, latents: torch.Tensor, watch: Watch | None = None) -> torch.Tensor:
    return torch.cat(list(FAMILY.decode(networks, latents, generator(), watch or watch_that())), dim=2)


def test_a_checkpoint_has_the_published_layout(checkpoint: Path) -> None:
    verify(WAN.checkpoint, checkpoint)


@pytest.mark.parametrize(("guidance_scale", "negative_prompt"), [(1.0, ""), (5.0, ""), (5.0, NEGATIVE)])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 128)])
@pytest.mark.parametrize("num_frames", [5, 13])
def test_latents_are_those_of_diffusers(
    networks: Networks,
    pipeline: Any,
    num_frames: int,
    width: int,
    height: int,
    guidance_scale: float,
    negative_prompt: str,
) -> None:
    first, with_image = frames_of(width, height), isinstance(pipeline, WanImageToVideoPipeline)
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
        **({"image": Image.fromarray(first[0])} if with_image else {}),
    ).frames  # [1, C, T, h, w]
    known = FAMILY.encode_frames(networks, first) if with_image and FAMILY.encode_frames else None
    ours = denoised(
        networks,
        Sampling(STEPS, guidance_scale),
        Shape(num_frames, width, height),
        known,
        prompts=(negative_prompt, PROMPT),
    )
    assert ours.dtype == torch.float32
    assert ours.shape == (1, (num_frames - 1) // 4 + 1, LATENT_CHANNELS, height // 16, width // 16)
    assert (ours.transpose(1, 2) - theirs).abs().max() < CLOSE


def test_frames_are_those_of_diffusers(networks: Networks, pipeline: Any) -> None:
    """The whole way, with a prompt that is cleaned first, and streamed."""
    prompt = "  a red &amp;amp;\n circle "
    first, with_image = frames_of(), isinstance(pipeline, WanImageToVideoPipeline)
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
        **({"image": Image.fromarray(first[0])} if with_image else {}),
    ).frames  # [1, n, 3, height, width] from 0 to 1
    known = FAMILY.encode_frames(networks, first) if with_image and FAMILY.encode_frames else None
    pixels = decoded(networks, denoised(networks, known=known, prompts=(NEGATIVE, prompt)))
    assert pixels.shape == (1, 3, FRAMES, HEIGHT, WIDTH)
    assert (pixels.transpose(1, 2) / 2 + 0.5 - theirs).abs().max() < CLOSE


def test_the_flow_shift_of_a_request(networks: Networks, checkpoint: Path) -> None:
    pipeline = WanPipeline.from_pretrained(checkpoint)
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
    assert FAMILY.encode_frames is not None
    known = FAMILY.encode_frames(networks, frames_of(count=count))
    assert known.shape == (1, latents, LATENT_CHANNELS, HEIGHT // 16, WIDTH // 16) and known.dtype == torch.float32
    made = denoised(networks, shape=Shape(17, WIDTH, HEIGHT), known=known)
    free = denoised(networks, shape=Shape(17, WIDTH, HEIGHT))
    assert torch.equal(made[:, :latents], known)
    assert (made[:, latents:] - free[:, latents:]).abs().max() > 100 * CLOSE


def test_tokens_that_do_not_fit(networks: Networks) -> None:
    (states,), cut = FAMILY.encode_prompts(networks, ["r" * (MAX_TEXT_TOKENS + 4)], None)
    assert (states.shape[1], cut) == (MAX_TEXT_TOKENS, 6)  # the mark where the text begins, and the end mark
    (states,), cut = FAMILY.encode_prompts(networks, ["red"], None)
    assert (states.shape[1], cut) == (MAX_TEXT_TOKENS, 0)
    assert states[:, :5].abs().amin() > 0 and not states[:, 5:].any()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_stream_of_latents_decodes_to_the_whole(networks: Networks, count: int) -> None:
    latents = torch.randn((1, count, LATENT_CHANNELS, 4, 6), generator=generator(2))
    config = networks.vae.config
    mean, deviation = (torch.tensor(one).view(1, -1, 1, 1, 1) for one in (config.latents_mean, config.latents_std))
    with torch.inference_mode():
        whole = networks.vae.decode(latents.transpose(1, 2) * deviation + mean).sample
    streamed = decoded(networks, latents)
    assert streamed.shape == whole.shape == (1, 3, 4 * count - 3, HEIGHT, WIDTH)
    assert (streamed - whole).abs().max() < EXACT
    assert streamed.abs().max() <= 1


def test_frames_come_while_latents_wait(networks: Networks) -> None:
    reports: list[Progress] = []
    watch = watch_that(reports.append)
    pieces = FAMILY.decode(networks, torch.zeros((1, 20, LATENT_CHANNELS, 2, 2)), generator(), watch)
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
    pieces = FAMILY.decode(networks, latents.flip(1), generator(), watch)
    next(pieces)
    with pytest.raises(JobError) as caught:
        next(pieces)
    assert caught.value.code is Code.CANCELLED
    after = {name for module in networks.vae.modules() for name, value in vars(module).items() if holds_tensor(value)}
    assert after == held
    assert torch.equal(decoded(networks, latents), before)


def holds_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (isinstance(value, list) and any(map(holds_tensor, value)))


def test_in_16_bits(checkpoint: Path) -> None:
    """What the published model computes in float32 stays so, and the latents between the steps do."""
    networks = loaded(checkpoint, torch.bfloat16)
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
    assert 0 < (made - denoised(loaded(checkpoint))).abs().max() < 0.5


def test_numbers_that_are_not_finite_are_no_video(checkpoint: Path) -> None:
    broken = loaded(checkpoint)
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        denoised(broken)
    assert caught.value.code is Code.GENERATION_FAILED

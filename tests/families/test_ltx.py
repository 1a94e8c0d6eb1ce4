"""Our sampling of LTX-Video beside diffusers' own pipelines: the same numbers, without padding, streamed, stoppable."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import LTXImageToVideoPipeline, LTXPipeline
from diffusers.models.attention_dispatch import attention_backend
from numpy.typing import NDArray
from PIL import Image

from builder.tiny import ltx as tiny_ltx
from builder.tiny.ltx import LATENT_CHANNELS
from tests.families.running import frames_of, reader
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families.ltx import decoder as ltx_decoder
from videoworker.families.ltx import family as ltx
from videoworker.families.ltx.family import Networks
from videoworker.models.sampling import Sampling
from videoworker.request import Progress
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape

CPU = torch.device("cpu")
PROMPT, NEGATIVE = "a red circle moving right", "a blue square"
WIDTH, HEIGHT, FRAMES, STEPS = 96, 64, 9, 4
CLOSE = 1e-4
EXACT = 2e-6


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ltx")
    for variant in tiny_ltx.VARIANTS:
        tiny_ltx.save(folder / f"ltx{variant}", variant)
    return {variant: folder / f"ltx{variant}" for variant in tiny_ltx.VARIANTS}


@pytest.fixture(scope="module")
def networks(checkpoints: dict[str, Path]) -> Networks:
    return ltx.load(reader(checkpoints[""]))


@pytest.fixture(scope="module", params=tiny_ltx.VARIANTS)
def decoding(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Networks:
    """Every decoder there is."""
    return ltx.load(reader(checkpoints[request.param]))


@pytest.fixture(scope="module", params=[LTXPipeline, LTXImageToVideoPipeline])
def pipeline(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Any:
    pipeline = request.param.from_pretrained(checkpoints[""])
    pipeline.set_progress_bar_config(disable=True)
    # Theirs draws the picture's latents from the posterior, ours takes its most probable ones: let theirs do so.
    pipeline.vae.encode = most_probable(pipeline.vae.encode)
    return pipeline


def most_probable(encode: Any) -> Callable[[torch.Tensor], SimpleNamespace]:
    """The same encoder, whose posterior has no spread."""

    def encoded(pixels: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=encode(pixels).latent_dist.mode())

    return encoded


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(width: int = WIDTH, height: int = HEIGHT, frames: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def noise_for(networks: Networks, width: int = WIDTH, height: int = HEIGHT, num_frames: int = FRAMES) -> torch.Tensor:
    return ltx.get_noise(networks, Shape(num_frames, width, height), generator())


def denoised(
    networks: Networks,
    noise: torch.Tensor,
    sampling: Sampling,
    given: torch.Tensor | None = None,
    negative_prompt: str = NEGATIVE,
) -> torch.Tensor:
    prompts = [negative_prompt, PROMPT] if sampling.guidance_scale > 1 else [PROMPT]
    states, cut = ltx.encode_prompts(networks, prompts, None)
    assert cut == 0
    return denoise(ltx.start(networks, Inputs(noise, states, given, sampling, generator())), watch_that())


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 128)])
@pytest.mark.parametrize(("num_frames", "fps"), [(9, 25), (33, 12)])
def test_the_latents_are_those_of_diffusers_own_pipelines(
    networks: Networks, pipeline: Any, num_frames: int, fps: int, width: int, height: int, guidance_scale: float
) -> None:
    first = picture(width, height)
    with_image = isinstance(pipeline, LTXImageToVideoPipeline)
    image = {"image": Image.fromarray(first[0])} if with_image else {}
    theirs = pipeline(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        width=width,
        height=height,
        num_frames=num_frames,
        frame_rate=fps,
        num_inference_steps=STEPS,
        guidance_scale=guidance_scale,
        generator=generator(),
        output_type="latent",
        **image,
    ).frames  # [1, T * h * w, C]
    noise = noise_for(networks, width, height, num_frames)
    given = ltx.encode_frames(networks, first) if with_image else None
    ours = denoised(networks, noise, Sampling(STEPS, guidance_scale, fps=fps), given)
    assert ours.shape == noise.shape
    assert (ours.permute(0, 1, 3, 4, 2).flatten(1, 3) - theirs).abs().max() < CLOSE


def test_guidance_the_negative_prompt_the_frame_rate_and_the_picture_each_change_the_latents(
    networks: Networks,
) -> None:
    noise, given = noise_for(networks), ltx.encode_frames(networks, picture())
    made = [
        denoised(networks, noise, Sampling(STEPS, 1.0)),
        denoised(networks, noise, Sampling(STEPS, 3.0)),
        denoised(networks, noise, Sampling(STEPS, 6.0)),
        denoised(networks, noise, Sampling(STEPS, 6.0), negative_prompt=""),
        denoised(networks, noise, Sampling(STEPS, 6.0, fps=50)),
        denoised(networks, noise, Sampling(STEPS, 6.0), given),
    ]
    for number, one in enumerate(made):
        assert all((one[:, 1:] - other[:, 1:]).abs().max() > 10 * CLOSE for other in made[:number])


def test_the_frame_rate_that_is_meant_where_none_is_given_is_that_of_the_training(networks: Networks) -> None:
    noise = noise_for(networks)
    assert torch.equal(
        denoised(networks, noise, Sampling(STEPS, 1.0)), denoised(networks, noise, Sampling(STEPS, 1.0, fps=25))
    )


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (9, 2)])
def test_given_frames_stay_as_they_are(networks: Networks, frames: int, latents: int) -> None:
    given = ltx.encode_frames(networks, picture(frames=frames))
    assert given.shape == (1, latents, LATENT_CHANNELS, HEIGHT // 32, WIDTH // 32) and given.dtype == torch.float32
    made = denoised(networks, noise_for(networks, num_frames=17), Sampling(STEPS, 3.0), given)
    assert torch.equal(made[:, :latents], given)


def test_attention_needs_no_mask_and_runs_the_kernel_that_is_chosen(networks: Networks) -> None:
    sampling = Sampling(STEPS, 3.0)
    expected = denoised(networks, noise_for(networks), sampling)
    with attention_backend("_native_flash"):  # takes no mask
        assert (denoised(networks, noise_for(networks), sampling) - expected).abs().max() < CLOSE


def test_tokens_that_do_not_fit_are_counted(networks: Networks) -> None:
    longest = tiny_ltx.MAX_TEXT_TOKENS
    (states,), cut = ltx.encode_prompts(networks, ["r" * (longest + 4)], None)
    assert (states.shape[1], cut) == (longest, 6)  # the mark where the text begins, and the end mark
    (states,), cut = ltx.encode_prompts(networks, ["red"], None)
    assert (states.shape[1], cut) == (5, 0)


@pytest.mark.parametrize(("count", "at_once"), [(1, 1), (2, 1), (3, 1), (9, 1), (3, 2), (9, 4)])
def test_a_stream_of_latents_decodes_to_the_whole_within_rounding(decoding: Networks, count: int, at_once: int) -> None:
    encoded = torch.randn((1, LATENT_CHANNELS, count, 2, 3), generator=generator(2))
    level = torch.tensor([0.05]) if decoding.vae.config.timestep_conditioning else None
    with torch.inference_mode():
        torch.manual_seed(5)  # theirs takes the noise between layers from PyTorch's own generator
        whole = decoding.vae.decode(encoded, level).sample
        latents = encoded.split(at_once, dim=2)
        pieces = list(ltx_decoder.decode(decoding.vae.decoder, latents, 0.05, generator(5)))
    streamed = torch.cat(pieces, dim=2)
    assert streamed.shape == whole.shape == (1, 3, (count - 1) * 8 + 1, 64, 96)
    assert (streamed - whole).abs().max() < EXACT * max(1.0, float(whole.abs().max()))


def test_the_frames_are_those_of_diffusers_own_pipeline(checkpoints: dict[str, Path]) -> None:
    """With a decoder that is told how much noise is left, which their pipeline must be asked for."""
    networks = ltx.load(reader(checkpoints["0.9.1"]))
    pipeline = LTXPipeline.from_pretrained(checkpoints["0.9.1"])
    pipeline.set_progress_bar_config(disable=True)
    for name, parameter in [*networks.vae.named_parameters(), *pipeline.vae.named_parameters()]:
        if "per_channel_scale" in name:  # that noise of theirs does not follow the job's generator
            torch.nn.init.zeros_(parameter)
    theirs = pipeline(
        prompt=PROMPT,
        width=WIDTH,
        height=HEIGHT,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=1.0,
        decode_timestep=0.05,
        decode_noise_scale=0.025,
        generator=generator(),
        output_type="np",
    ).frames[0]
    drawing = generator()
    noise = ltx.get_noise(networks, Shape(FRAMES, WIDTH, HEIGHT), drawing)
    latents = denoised(networks, noise, Sampling(STEPS, 1.0))
    ours = list(frames_of(ltx.decode(networks, latents, drawing, watch_that())))
    assert len(ours) == len(theirs) == FRAMES
    for frame, expected in zip(ours, theirs, strict=True):
        assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
        assert np.abs(frame - expected * 255).max() < 0.6


def test_the_decoder_s_noise_follows_the_seed(checkpoints: dict[str, Path]) -> None:
    networks = ltx.load(reader(checkpoints["0.9.1"]))
    latents = torch.zeros((1, 2, LATENT_CHANNELS, 2, 3))
    first, again, other = (
        np.stack(list(frames_of(ltx.decode(networks, latents, generator(seed), watch_that())))).astype(int)
        for seed in (1, 1, 2)
    )
    assert np.abs(first - again).max() <= 1
    assert np.abs(first - other).max() > 10


def test_frames_come_while_latents_still_wait(decoding: Networks) -> None:
    reports: list[Progress] = []
    latents = torch.zeros((1, 40, LATENT_CHANNELS, 1, 1))
    frames = frames_of(ltx.decode(decoding, latents, generator(), watch_that(reports.append)))
    next(frames)
    assert (reports[-1].stage, reports[-1].step, reports[-1].steps) == ("decode", 1, 40)
    assert len(list(frames)) == 39 * 8
    assert reports[-1].step == 40


def test_time_that_runs_out_stops_denoising_at_its_step(networks: Networks) -> None:
    reports: list[Progress] = []
    states, _ = ltx.encode_prompts(networks, [PROMPT], None)
    late = watch_that(reports.append, time_limit=1e-9)
    with pytest.raises(JobError) as caught:
        denoise(ltx.start(networks, Inputs(noise_for(networks), states, None, Sampling(STEPS, 1.0), generator())), late)
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert [(report.stage, report.step) for report in reports] == [("denoise", 1)]


def test_time_that_runs_out_stops_decoding_before_the_first_latent(networks: Networks) -> None:
    latents = torch.zeros((1, 4, LATENT_CHANNELS, 1, 1))
    with pytest.raises(JobError) as caught:
        next(frames_of(ltx.decode(networks, latents, generator(), watch_that(time_limit=1e-9))))
    assert caught.value.code is Code.GENERATION_TIMEOUT


def test_numbers_that_are_not_finite_are_no_video(checkpoints: dict[str, Path]) -> None:
    broken = ltx.load(reader(checkpoints[""]))
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        denoised(broken, noise_for(broken), Sampling(STEPS, 1.0))
    assert caught.value.code is Code.GENERATION_FAILED

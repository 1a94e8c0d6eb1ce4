"""Our sampling of CogVideoX beside diffusers' own pipelines: the same numbers, streamed and stoppable."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXImageToVideoPipeline, CogVideoXPipeline
from numpy.typing import NDArray
from PIL import Image

from tests.engine.conftest import LATENT_CHANNELS, MAX_TEXT_TOKENS
from videoworker.engine import cogvideox
from videoworker.engine.cogvideox import Networks
from videoworker.errors import Code, JobError
from videoworker.models.plan import Sampling
from videoworker.request import Progress
from videoworker.watch import Watch

CPU = torch.device("cpu")
PROMPT, NEGATIVE = "a red circle moving right", "a blue square"
WIDTH, HEIGHT, FRAMES, STEPS = 64, 48, 9, 4
CLOSE = 1e-4


@pytest.fixture(scope="module")
def networks(image_checkpoint: Path) -> Networks:
    return cogvideox.load(image_checkpoint, CPU, torch.float32)


@pytest.fixture(scope="module")
def text_networks(text_checkpoint: Path) -> Networks:
    return cogvideox.load(text_checkpoint, CPU, torch.float32)


def unheard(progress: Progress) -> None:
    """Nobody asks how far these jobs are."""


def watch_that(report: Callable[[Progress], None] = unheard, time_limit: float = 1000.0) -> Watch:
    return Watch("a", report, time_limit)


def noise_for(networks: Networks, seed: int = 7) -> torch.Tensor:
    return cogvideox.get_noise(networks, FRAMES, WIDTH, HEIGHT, torch.Generator().manual_seed(seed))


def denoised(
    networks: Networks, guidance_scale: float, noise: torch.Tensor, given: torch.Tensor | None = None
) -> torch.Tensor:
    prompts = [NEGATIVE, PROMPT] if guidance_scale > 1 else [PROMPT]
    states, cut = cogvideox.encode_prompt(networks, prompts, None)
    assert cut == 0
    return cogvideox.denoise(networks, noise, states, given, Sampling(STEPS, guidance_scale), watch_that(), (0, 1))


def asked_of_diffusers(guidance_scale: float, noise: torch.Tensor) -> dict[str, object]:
    """The same clip in the words of diffusers' pipelines."""
    return {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "width": WIDTH,
        "height": HEIGHT,
        "num_frames": FRAMES,
        "num_inference_steps": STEPS,
        "guidance_scale": guidance_scale,
        "use_dynamic_cfg": False,
        "latents": noise.clone(),
        "max_sequence_length": MAX_TEXT_TOKENS,
        "output_type": "latent",
    }


def picture(width: int = WIDTH, height: int = HEIGHT, frames: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("guidance_scale", [1.0, 6.0])
def test_text_alone_gives_the_latents_of_diffusers_own_pipeline(
    text_checkpoint: Path, text_networks: Networks, guidance_scale: float
) -> None:
    pipeline = CogVideoXPipeline.from_pretrained(text_checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    noise = noise_for(text_networks)
    theirs = pipeline(**asked_of_diffusers(guidance_scale, noise)).frames
    assert (denoised(text_networks, guidance_scale, noise) - theirs).abs().max() < CLOSE


@pytest.mark.parametrize("guidance_scale", [1.0, 6.0])
def test_a_first_picture_gives_the_latents_of_diffusers_own_pipeline(
    image_checkpoint: Path, networks: Networks, guidance_scale: float
) -> None:
    pipeline = CogVideoXImageToVideoPipeline.from_pretrained(image_checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    noise, first = noise_for(networks), picture()
    theirs = pipeline(
        image=Image.fromarray(first[0]),
        generator=torch.Generator().manual_seed(5),
        **asked_of_diffusers(guidance_scale, noise),
    ).frames

    # Theirs draws the picture's latents from the posterior, ours takes its most probable ones: draw them here too.
    pixels = pipeline.video_processor.preprocess(Image.fromarray(first[0]), HEIGHT, WIDTH).unsqueeze(2)
    with torch.inference_mode():
        posterior = networks.vae.encode(pixels).latent_dist
    drawn = posterior.sample(torch.Generator().manual_seed(5)) * networks.vae.config.scaling_factor
    assert (denoised(networks, guidance_scale, noise, drawn.transpose(1, 2)) - theirs).abs().max() < CLOSE
    assert torch.allclose(
        cogvideox.encode_frames(networks, first).transpose(1, 2),
        posterior.mode() * networks.vae.config.scaling_factor,
        atol=1e-5,
    )


def test_guidance_the_negative_prompt_and_the_picture_each_change_the_latents(networks: Networks) -> None:
    noise = noise_for(networks)
    given = cogvideox.encode_frames(networks, picture())
    states, _ = cogvideox.encode_prompt(networks, ["", PROMPT], None)
    without_negative = cogvideox.denoise(networks, noise, states, None, Sampling(STEPS, 6.0), watch_that(), (0, 1))
    made = [
        denoised(networks, 1.0, noise),
        denoised(networks, 3.0, noise),
        denoised(networks, 6.0, noise),
        denoised(networks, 6.0, noise, given),
        without_negative,
    ]
    for number, one in enumerate(made):
        assert all((one - other).abs().max() > 10 * CLOSE for other in made[:number])


def test_noise_is_the_numbers_that_diffusers_draws_for_the_seed(networks: Networks) -> None:
    noise = noise_for(networks, seed=11)
    assert noise.shape == (1, 3, LATENT_CHANNELS, HEIGHT // 8, WIDTH // 8)
    assert torch.equal(noise, torch.randn(noise.shape, generator=torch.Generator().manual_seed(11)))


def test_tokens_that_do_not_fit_are_counted(networks: Networks) -> None:
    states, cut = cogvideox.encode_prompt(networks, ["red " * (MAX_TEXT_TOKENS + 4)], None)
    assert states.shape == (1, MAX_TEXT_TOKENS, 16)
    assert cut == 5  # and the end mark
    assert cogvideox.encode_prompt(networks, ["red " * (MAX_TEXT_TOKENS - 1)], None)[1] == 0


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2)])
def test_known_frames_become_their_latents(networks: Networks, frames: int, latents: int) -> None:
    encoded = cogvideox.encode_frames(networks, picture(frames=frames))
    assert encoded.shape == (1, latents, LATENT_CHANNELS, HEIGHT // 8, WIDTH // 8)
    assert encoded.dtype == torch.float32


@pytest.mark.parametrize("count", [1, 3, 5, 7])
def test_frames_decoded_a_few_at_a_time_are_those_of_the_whole_decode(networks: Networks, count: int) -> None:
    latents = torch.randn((1, count, LATENT_CHANNELS, 6, 8), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        whole = networks.vae.decode(latents.transpose(1, 2) / networks.vae.config.scaling_factor).sample[0]
    expected = ((whole.clamp(-1, 1) + 1) * 127.5).permute(1, 2, 3, 0).numpy()

    streamed = list(cogvideox.decode(networks, latents, watch_that(), (0, 1)))
    assert len(streamed) == len(expected) == (count - 1) * 4 + 1
    for frame, exact in zip(streamed, expected, strict=True):
        assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
        assert np.abs(frame - exact).max() <= 1


def test_decoding_is_reported_chunk_by_chunk_before_the_chunks_frames_come(networks: Networks) -> None:
    latents = torch.zeros((1, 7, LATENT_CHANNELS, 4, 4))
    reports: list[Progress] = []
    seen = [len(reports) for _ in cogvideox.decode(networks, latents, watch_that(reports.append), (0, 1))]
    assert [(report.step, report.steps) for report in reports] == [(3, 7), (5, 7), (7, 7)]
    assert seen == [1] * 9 + [2] * 8 + [3] * 8


def test_time_that_runs_out_stops_denoising_at_its_step(networks: Networks) -> None:
    reports: list[Progress] = []
    states, _ = cogvideox.encode_prompt(networks, [PROMPT], None)
    late = watch_that(reports.append, time_limit=1e-9)
    with pytest.raises(JobError) as caught:
        cogvideox.denoise(networks, noise_for(networks), states, None, Sampling(STEPS, 1.0), late, (0, 1))
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert [(report.stage, report.step) for report in reports] == [("denoise", 1)]


def test_time_that_runs_out_stops_decoding_at_its_chunk(networks: Networks) -> None:
    reports: list[Progress] = []
    latents = torch.zeros((1, 7, LATENT_CHANNELS, 4, 4))
    frames = cogvideox.decode(networks, latents, watch_that(reports.append, time_limit=1e-9), (0, 1))
    with pytest.raises(JobError) as caught:
        next(frames)
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert [(report.stage, report.step) for report in reports] == [("decode", 3)]


def test_numbers_that_are_not_finite_are_no_video(image_checkpoint: Path) -> None:
    broken = cogvideox.load(image_checkpoint, CPU, torch.float32)
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        denoised(broken, 1.0, noise_for(broken))
    assert caught.value.code is Code.GENERATION_FAILED


def test_sampling_leaves_no_gradient_behind(networks: Networks) -> None:
    assert denoised(networks, 1.0, noise_for(networks)).requires_grad is False
    assert not torch.is_inference_mode_enabled()
    frames = cogvideox.decode(networks, torch.zeros((1, 3, LATENT_CHANNELS, 4, 4)), watch_that(), (0, 1))
    next(frames)
    assert not torch.is_inference_mode_enabled()  # between two frames the caller's own mode holds

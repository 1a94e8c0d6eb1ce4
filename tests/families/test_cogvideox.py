"""Our sampling of CogVideoX beside diffusers' own pipelines: the same numbers, streamed and stoppable."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXImageToVideoPipeline, CogVideoXPipeline
from diffusers.models.attention_dispatch import attention_backend
from numpy.typing import NDArray
from PIL import Image

from builder.tiny.cogvideox import DDIM, LATENT_CHANNELS, SKETCH_TEXT_TOKENS, VARIANTS, save
from tests.conftest import Checkpoint
from tests.families.running import frames_of, reader
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families.cogvideox import family as cogvideox
from videoworker.families.cogvideox.family import Networks
from videoworker.models.sampling import Sampling
from videoworker.request import Progress
from videoworker.sampling import carried_convolution
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape

CPU = torch.device("cpu")
PROMPT, NEGATIVE = "a red circle moving right", "a blue square"
WIDTH, HEIGHT, FRAMES, STEPS = 64, 48, 9, 4
CLOSE = 1e-4

# Guidance, width, height and frames of the clips that are compared: both guidances, two sizes, two lengths; and one
# more length that fills CogVideoX1.5's patches in time without padding.
CLIPS = [(1.0, 64, 48, 9), (6.0, 64, 48, 17), (6.0, 80, 96, 9), (1.0, 80, 96, 17), (6.0, 64, 48, 13)]
LEARNED_POSITIONS = [(6.0, WIDTH, HEIGHT, FRAMES), (1.0, WIDTH, HEIGHT, FRAMES)]  # these hold at one size alone


@pytest.fixture(scope="module")
def networks(image_checkpoint: Path) -> Networks:
    return cogvideox.load(reader(image_checkpoint))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_for(
    networks: Networks, seed: int = 7, width: int = WIDTH, height: int = HEIGHT, num_frames: int = FRAMES
) -> torch.Tensor:
    return cogvideox.get_noise(networks, Shape(num_frames, width, height), generator(seed))


def denoised(
    networks: Networks, guidance_scale: float, noise: torch.Tensor, given: torch.Tensor | None = None
) -> torch.Tensor:
    prompts = [NEGATIVE, PROMPT] if guidance_scale > 1 else [PROMPT]
    states, cut = cogvideox.encode_prompts(networks, prompts, None)
    assert cut == 0
    sampling = Sampling(STEPS, guidance_scale)
    return denoise(cogvideox.start(networks, Inputs(noise, states, given, sampling, generator(5))), watch_that())


def picture(width: int = WIDTH, height: int = HEIGHT, frames: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("variant", "guidance_scale", "width", "height", "num_frames"),
    [(variant, *clip) for variant in VARIANTS for clip in (LEARNED_POSITIONS if variant == "5b-i2v" else CLIPS)],
)
def test_the_latents_are_those_of_diffusers_own_pipeline(
    cogvideox_checkpoint: Checkpoint,
    tmp_path: Path,
    variant: str,
    guidance_scale: float,
    width: int,
    height: int,
    num_frames: int,
) -> None:
    folder = cogvideox_checkpoint(variant)
    if variant == "5b-i2v":  # for which that size shall be this one
        save(tmp_path, variant, sample_width=WIDTH // 8, sample_height=HEIGHT // 8, sample_frames=FRAMES)
        folder = tmp_path
    networks = cogvideox.load(reader(folder))
    noise = noise_for(networks, width=width, height=height, num_frames=num_frames)
    asked = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "width": width,
        "height": height,
        "num_frames": num_frames,
        "num_inference_steps": STEPS,
        "guidance_scale": guidance_scale,
        "max_sequence_length": networks.transformer.config.max_text_seq_length,
        "output_type": "latent",
    }
    # Theirs takes CogVideoX1.5's padding as a part of the noise; ours draws it first of all.
    count = -noise.shape[1] % (networks.transformer.config.patch_size_t or 1)
    drawing = generator(5)
    padding = torch.randn((1, count, *noise.shape[2:]), generator=drawing)
    asked["latents"] = torch.cat([padding, noise], dim=1)
    given = None
    if networks.transformer.config.in_channels == LATENT_CHANNELS:
        pipeline = CogVideoXPipeline.from_pretrained(folder)
    else:
        pipeline = CogVideoXImageToVideoPipeline.from_pretrained(folder)
        first = picture(width, height)
        asked["image"] = Image.fromarray(first[0])
        # Theirs draws the picture's latents from the posterior, ours takes its most probable ones: let theirs do so.
        pipeline.vae.encode = most_probable(pipeline.vae.encode)
        given = cogvideox.encode_frames(networks, first)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(generator=drawing, **asked).frames[:, count:]
    ours = denoised(networks, guidance_scale, noise, given)
    assert ours.shape == theirs.shape == noise.shape
    assert (ours - theirs).abs().max() < CLOSE
    assert type(networks.scheduler).__name__ == type(pipeline.scheduler).__name__
    assert (type(networks.scheduler).__name__ == "CogVideoXDDIMScheduler") == (variant in DDIM)


def most_probable(encode: Any) -> Callable[[torch.Tensor], SimpleNamespace]:
    """The same encoder, whose posterior has no spread."""

    def encoded(pixels: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=encode(pixels).latent_dist.mode())

    return encoded


def test_a_scheduler_of_another_family_is_refused(image_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(image_checkpoint, tmp_path / "foreign"))
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_class_name": "DDPMScheduler"}))
    with pytest.raises(ValueError, match="DDPMScheduler"):
        cogvideox.load(reader(folder))


def test_a_chosen_attention_kernel_is_the_one_that_runs(networks: Networks) -> None:
    """diffusers' own attention of this family leaves the choice without effect."""
    expected = denoised(networks, 6.0, noise_for(networks))
    with attention_backend("_native_flash"):  # takes no mask
        assert (denoised(networks, 6.0, noise_for(networks)) - expected).abs().max() < CLOSE
    with attention_backend("_native_cudnn"), pytest.raises(RuntimeError):  # runs on a GPU alone
        denoised(networks, 6.0, noise_for(networks))


def test_guidance_the_negative_prompt_and_the_picture_each_change_the_latents(networks: Networks) -> None:
    noise = noise_for(networks)
    given = cogvideox.encode_frames(networks, picture())
    states, _ = cogvideox.encode_prompts(networks, ["", PROMPT], None)
    sampling = Sampling(STEPS, 6.0)
    without_negative = denoise(
        cogvideox.start(networks, Inputs(noise, states, None, sampling, generator(5))), watch_that()
    )
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
    (states,), cut = cogvideox.encode_prompts(networks, ["red " * (SKETCH_TEXT_TOKENS)], None)
    assert states.shape == (1, SKETCH_TEXT_TOKENS, 16)
    assert cut == 3 * SKETCH_TEXT_TOKENS + 1  # four tokens a word, and the end mark
    assert cogvideox.encode_prompts(networks, ["r" * (SKETCH_TEXT_TOKENS - 2)], None)[1] == 0


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2)])
def test_known_frames_become_their_latents(networks: Networks, frames: int, latents: int) -> None:
    encoded = cogvideox.encode_frames(networks, picture(frames=frames))
    assert encoded.shape == (1, latents, LATENT_CHANNELS, HEIGHT // 8, WIDTH // 8)
    assert encoded.dtype == torch.float32


@pytest.mark.parametrize("bytes_at_once", [1, 2**15, 2**28])  # one frame at a time, some, all
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_frames_decoded_a_few_at_a_time_are_those_of_the_whole_decode(
    image_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, count: int, bytes_at_once: int
) -> None:
    stock = AutoencoderKLCogVideoX.from_pretrained(image_checkpoint / "vae").eval()
    stock.double()  # so that only a difference in kind can be seen, not rounding
    shape = (1, count, LATENT_CHANNELS, 6, 8)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.inference_mode():
        whole = stock.decode(latents.transpose(1, 2) / stock.config.scaling_factor).sample

    monkeypatch.setattr(carried_convolution, "_BYTES_AT_ONCE", bytes_at_once)
    networks = cogvideox.load(reader(image_checkpoint))
    networks.vae.double()
    pieces = list(cogvideox.decode(networks, latents, generator(5), watch_that()))
    assert whole.shape == (1, 3, (count - 1) * 4 + 1 if count % 2 else count * 4, 48, 64)
    assert (torch.cat(pieces, dim=2) - whole).abs().max() < 1e-12


def test_frames_are_pixels_from_black_to_white(networks: Networks) -> None:
    latents = torch.randn((1, 3, LATENT_CHANNELS, 6, 8), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        whole, _ = networks.vae.decoder(latents.transpose(1, 2) / networks.vae.config.scaling_factor)
    expected = ((whole[0].clamp(-1, 1) + 1) * 127.5).permute(1, 2, 3, 0).numpy()
    frames = list(frames_of(cogvideox.decode(networks, latents, generator(5), watch_that())))
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    assert np.abs(np.stack(frames) - expected).max() <= 0.501


def test_decoding_is_reported_chunk_by_chunk_before_the_chunks_frames_come(networks: Networks) -> None:
    latents = torch.zeros((1, 7, LATENT_CHANNELS, 4, 4))
    reports: list[Progress] = []
    seen = [
        len(reports) for _ in frames_of(cogvideox.decode(networks, latents, generator(5), watch_that(reports.append)))
    ]
    assert [(report.step, report.steps) for report in reports] == [(3, 7), (5, 7), (7, 7)]
    assert seen == [1] * 9 + [2] * 8 + [3] * 8


def test_time_that_runs_out_stops_denoising_at_its_step(networks: Networks) -> None:
    reports: list[Progress] = []
    states, _ = cogvideox.encode_prompts(networks, [PROMPT], None)
    late = watch_that(reports.append, time_limit=1e-9)
    with pytest.raises(JobError) as caught:
        denoise(
            cogvideox.start(networks, Inputs(noise_for(networks), states, None, Sampling(STEPS, 1.0), generator(5))),
            late,
        )
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert [(report.stage, report.step) for report in reports] == [("denoise", 1)]


def test_time_that_runs_out_stops_decoding_at_its_chunk(networks: Networks) -> None:
    reports: list[Progress] = []
    latents = torch.zeros((1, 7, LATENT_CHANNELS, 4, 4))
    frames = frames_of(cogvideox.decode(networks, latents, generator(5), watch_that(reports.append, time_limit=1e-9)))
    with pytest.raises(JobError) as caught:
        next(frames)
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert [(report.stage, report.step) for report in reports] == [("decode", 3)]


def test_numbers_that_are_not_finite_are_no_video(image_checkpoint: Path) -> None:
    broken = cogvideox.load(reader(image_checkpoint))
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        denoised(broken, 1.0, noise_for(broken))
    assert caught.value.code is Code.GENERATION_FAILED


def test_sampling_leaves_no_gradient_behind(networks: Networks) -> None:
    assert denoised(networks, 1.0, noise_for(networks)).requires_grad is False
    assert not torch.is_inference_mode_enabled()
    frames = frames_of(
        cogvideox.decode(networks, torch.zeros((1, 3, LATENT_CHANNELS, 4, 4)), generator(5), watch_that())
    )
    next(frames)
    assert not torch.is_inference_mode_enabled()  # between two frames the caller's own mode holds

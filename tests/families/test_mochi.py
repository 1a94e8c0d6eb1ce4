"""Our sampling of Mochi beside diffusers' own pipeline: the same numbers, without padding, streamed and stoppable."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import MochiPipeline
from diffusers.models.attention_dispatch import attention_backend
from torch.utils._python_dispatch import TorchDispatchMode

from builder.tiny import mochi as tiny_mochi
from tests.families.running import frames_of, reader
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families.mochi import family as mochi
from videoworker.families.mochi.family import Networks
from videoworker.models.piece import Piece
from videoworker.models.sampling import Sampling
from videoworker.request import Progress
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape

CPU = torch.device("cpu")
PROMPT, NEGATIVE = "a red circle moving right", "a blue square"
WIDTH, HEIGHT, FRAMES, STEPS = 48, 32, 7, 4
CLOSE = 1e-4
EXACT = 2e-6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mochi")
    tiny_mochi.save(folder, "")
    return folder


@pytest.fixture(scope="module")
def networks(checkpoint: Path) -> Networks:
    return mochi.load(reader(checkpoint))


@pytest.fixture(scope="module")
def pipeline(checkpoint: Path) -> Any:
    """The option is not set in the published checkpoint. genmo's own code does what it says."""
    pipeline = MochiPipeline.from_pretrained(checkpoint, force_zeros_for_empty_prompt=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_for(networks: Networks, width: int = WIDTH, height: int = HEIGHT, num_frames: int = FRAMES) -> torch.Tensor:
    return mochi.get_noise(networks, Shape(num_frames, width, height), generator())


def denoised(
    networks: Networks, noise: torch.Tensor, guidance_scale: float, negative_prompt: str = NEGATIVE, steps: int = STEPS
) -> torch.Tensor:
    prompts = [negative_prompt, PROMPT] if guidance_scale > 1 else [PROMPT]
    states, cut = mochi.encode_prompts(networks, prompts, None)
    assert cut == 0
    sampling = Sampling(steps, guidance_scale)
    return denoise(mochi.start(networks, Inputs(noise, states, None, sampling, generator())), watch_that())


@pytest.mark.parametrize("negative_prompt", [NEGATIVE, ""])
@pytest.mark.parametrize("guidance_scale", [1.0, 4.5])
@pytest.mark.parametrize(("width", "height"), [(48, 32), (64, 80)])
@pytest.mark.parametrize("num_frames", [7, 19])
def test_the_latents_are_those_of_diffusers_own_pipeline(
    networks: Networks,
    pipeline: Any,
    num_frames: int,
    width: int,
    height: int,
    guidance_scale: float,
    negative_prompt: str,
) -> None:
    noise = noise_for(networks, width, height, num_frames)
    theirs = pipeline(
        prompt=PROMPT,
        negative_prompt=negative_prompt,
        width=width,
        height=height,
        num_frames=num_frames,
        num_inference_steps=STEPS,
        guidance_scale=guidance_scale,
        latents=noise.transpose(1, 2).clone(),
        output_type="latent",
    ).frames.transpose(1, 2)
    ours = denoised(networks, noise, guidance_scale, negative_prompt)
    assert ours.shape == theirs.shape == noise.shape
    assert (ours - theirs).abs().max() < CLOSE


def test_an_empty_prompt_has_no_tokens(networks: Networks) -> None:
    (nothing, some), cut = mochi.encode_prompts(networks, ["", PROMPT], None)
    assert nothing.shape == (1, 0, networks.transformer.config.text_embed_dim) and some.shape[1] > 1
    assert cut == 0


def test_guidance_and_the_negative_prompt_each_change_the_latents(networks: Networks) -> None:
    noise = noise_for(networks)
    made = [
        denoised(networks, noise, 1.0),
        denoised(networks, noise, 3.0),
        denoised(networks, noise, 6.0),
        denoised(networks, noise, 6.0, negative_prompt=""),
    ]
    for number, one in enumerate(made):
        assert all((one - other).abs().max() > 10 * CLOSE for other in made[:number])


def test_noise_is_the_numbers_that_diffusers_draws_for_the_seed(networks: Networks) -> None:
    expected = torch.randn((1, 12, 2, HEIGHT // 8, WIDTH // 8), generator=generator())
    assert torch.equal(noise_for(networks), expected.transpose(1, 2))


def test_one_step_goes_the_whole_way(networks: Networks) -> None:
    assert mochi.sigmas(1) == [1.0]
    assert torch.isfinite(denoised(networks, noise_for(networks), 1.0, steps=1)).all()


def test_noise_falls_slowly_at_first_and_never_rises() -> None:
    levels = [*mochi.sigmas(64), 0.0]
    assert levels[0] == 1.0 and levels[32] == pytest.approx(0.975)
    falls = -np.diff(levels)
    assert (falls > 0).all() and falls[32:] == pytest.approx(sorted(falls[32:]))


def test_the_transformer_looks_for_no_padding(networks: Networks) -> None:
    """diffusers' own attention asks which tokens are padding in every layer, and gives a mask no flash kernel takes."""
    called: list[str] = []

    class Listening(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    noise = noise_for(networks)
    expected = denoised(networks, noise, 4.5)
    listening = Listening()  # type: ignore[no-untyped-call]  # torch's `__init__` has no types
    with listening, attention_backend("_native_flash"):
        assert (denoised(networks, noise, 4.5) - expected).abs().max() < CLOSE
    assert "nonzero" not in called and "linear" in called
    with attention_backend("_native_cudnn"), pytest.raises(RuntimeError):  # runs on a GPU alone
        denoised(networks, noise, 4.5)


def test_tokens_that_do_not_fit_are_counted_and_the_end_mark_stays(networks: Networks) -> None:
    longest = tiny_mochi.MAX_TEXT_TOKENS
    (states,), cut = mochi.encode_prompts(networks, ["r" * (longest + 4)], None)
    assert (states.shape[1], cut) == (longest, 6)  # the mark where the text begins, and the end mark
    (states,), cut = mochi.encode_prompts(networks, ["r" * (longest - 2)], None)
    assert (states.shape[1], cut) == (longest, 0)


@pytest.mark.parametrize(("count", "at_once"), [(1, 1), (2, 1), (5, 1), (5, 2)])
def test_latents_decoded_piece_by_piece_give_the_frames_of_the_whole_decode(
    networks: Networks, pipeline: Any, count: int, at_once: int
) -> None:
    latents = torch.randn((1, count, 12, 4, 6), generator=generator(2))
    mean, deviation = (torch.tensor(pipeline.vae.config[name]) for name in ("latents_mean", "latents_std"))
    encoded = latents * deviation.view(-1, 1, 1) + mean.view(-1, 1, 1)
    with torch.inference_mode():
        whole = pipeline.vae.decode(encoded.transpose(1, 2)).sample[0]
    expected = ((whole.clamp(-1, 1) + 1) * 127.5).permute(1, 2, 3, 0).numpy()

    streamed = list(frames_of(mochi.decode(networks, latents, generator(), watch_that(), Piece(at_once))))
    assert len(streamed) == len(expected) == (count - 1) * 6 + 1
    for frame, exact in zip(streamed, expected, strict=True):
        assert frame.shape == (32, 48, 3) and frame.dtype == np.uint8
        assert np.abs(frame - exact).max() <= 0.5 + 1e-3


def test_pieces_of_a_clip_decode_to_the_whole_within_rounding(networks: Networks, pipeline: Any) -> None:
    encoded = torch.randn((1, 12, 5, 4, 6), generator=generator(2))
    with torch.inference_mode():
        whole = pipeline.vae.decode(encoded).sample
        carried, pieces = None, []
        for index in range(5):
            piece, carried = networks.vae.decoder(encoded[:, :, index : index + 1], conv_cache=carried)
            pieces.append(piece)
    assert (torch.cat(pieces, dim=2)[:, :, 5:] - whole).abs().max() < EXACT


def test_decoding_is_reported_latent_by_latent_before_its_frames_come(networks: Networks) -> None:
    reports: list[Progress] = []
    latents = torch.zeros((1, 3, 12, 2, 2))
    frames = frames_of(mochi.decode(networks, latents, generator(), watch_that(reports.append)))
    seen = [len(reports) for _ in frames]
    assert [(report.stage, report.step, report.steps) for report in reports] == [
        ("decode", 1, 3),
        ("decode", 2, 3),
        ("decode", 3, 3),
    ]
    assert seen == [1] + [2] * 6 + [3] * 6


def test_time_that_runs_out_stops_denoising_at_its_step(networks: Networks) -> None:
    reports: list[Progress] = []
    states, _ = mochi.encode_prompts(networks, [PROMPT], None)
    late = watch_that(reports.append, time_limit=1e-9)
    with pytest.raises(JobError) as caught:
        denoise(
            mochi.start(networks, Inputs(noise_for(networks), states, None, Sampling(STEPS, 1.0), generator())), late
        )
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert [(report.stage, report.step) for report in reports] == [("denoise", 1)]


def test_numbers_that_are_not_finite_are_no_video(checkpoint: Path) -> None:
    broken = mochi.load(reader(checkpoint))
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        denoised(broken, noise_for(broken), 1.0)
    assert caught.value.code is Code.GENERATION_FAILED

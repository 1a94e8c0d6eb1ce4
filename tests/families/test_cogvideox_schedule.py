"""CogVideoX's course through noise from a level below pure noise, by both of its samplers."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from tests.watches import watch_that
from videoworker.families.cogvideox.schedule import DiffusionSchedule
from videoworker.sampling.denoise import Start, denoise
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.schedule import Step

STEPS = 10
# As scheduler/scheduler_config.json of zai-org/CogVideoX-5b has them.
PUBLISHED = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "snr_shift_scale": 1.0,
    "timestep_spacing": "trailing",
}


@pytest.fixture(params=[CogVideoXDDIMScheduler, CogVideoXDPMScheduler], ids=["DDIM", "DPM"])
def schedule(request: pytest.FixtureRequest) -> DiffusionSchedule:
    scheduler = request.param(**PUBLISHED)
    scheduler.set_timesteps(STEPS)
    return DiffusionSchedule(scheduler, scheduler.timesteps, torch.Generator().manual_seed(7))


def drawn(seed: int) -> torch.Tensor:
    return torch.randn((1, 3, 4, 5, 6), generator=torch.Generator().manual_seed(seed))


def levels(schedule: DiffusionSchedule) -> torch.Tensor:
    """The deviation of the noise at each step of the whole course."""
    noise: torch.Tensor = (1 - schedule.scheduler.alphas_cumprod[schedule.scheduler.timesteps]) ** 0.5
    return noise


@pytest.mark.parametrize("skipped", range(STEPS))
def test_starting_at(schedule: DiffusionSchedule, skipped: int) -> None:
    """It starts with the first step whose noise is at most the level, also if it is asked twice."""
    there = levels(schedule)
    assert there[0] == 1 and (there.diff() < 0).all()
    for level in (float(there[skipped]), float(there[skipped]) + 1e-4):
        rest = schedule.starting_at(level)
        assert torch.equal(rest.timesteps, schedule.timesteps[skipped:])
        assert torch.equal(
            schedule.starting_at(float(there[skipped // 2])).starting_at(level).timesteps, rest.timesteps
        )


@pytest.mark.parametrize("skipped", [0, 4, 9])
def test_noised(schedule: DiffusionSchedule, skipped: int) -> None:
    """Clean latents and noise, mixed so that the variance stays 1."""
    level = levels(schedule)[skipped]
    expected = (1 - level**2) ** 0.5 * drawn(0) + level * drawn(1)
    mixed = schedule.starting_at(float(level)).noised(drawn(0), drawn(1))
    assert torch.allclose(mixed, expected, atol=1e-5)


def test_steps_are_those_of_the_whole_course(schedule: DiffusionSchedule) -> None:
    """What is left of a course goes on as the course itself does from there."""
    rest = schedule.starting_at(float(levels(schedule)[4]))
    before = [Step(drawn(1), drawn(2), drawn(3))]
    for index, done in ((4, before), (5, before), (9, before)):
        steps: list[Any] = []
        for course, at in ((schedule, index), (rest, index - 4)):
            schedule.generator.manual_seed(5)
            steps.append(course.step(at, drawn(4), drawn(5), done))
        whole, part = steps
        assert torch.equal(part.clean, whole.clean) and torch.equal(part.after, whole.after)


@pytest.mark.parametrize("skipped", [0, 4, 9])
def test_perfect_predictor(schedule: DiffusionSchedule, skipped: int) -> None:
    """From whatever level it starts, a denoiser that knows the clean latents comes to them."""
    clean, level = drawn(0), levels(schedule)[skipped]
    rest = schedule.starting_at(float(level))
    told: list[int] = []

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[None]) -> list[torch.Tensor]:
        timestep = int(rest.timesteps[index])
        told.append(timestep)
        kept = schedule.scheduler.alphas_cumprod[timestep]
        noise = (latents - kept**0.5 * clean) / (1 - kept) ** 0.5
        return [kept**0.5 * noise - (1 - kept) ** 0.5 * clean]

    guidance = Guidance.constant(1.0, len(rest.timesteps))
    end = denoise(Start(rest.noised(clean, drawn(1)), rest, (None,), guidance, predict), watch_that())
    assert torch.allclose(end, clean, atol=1e-4)
    assert told == schedule.timesteps[skipped:].tolist()


def test_below_the_last_level(schedule: DiffusionSchedule) -> None:
    """Nothing is left to do: the clean latents are the end."""
    rest = schedule.starting_at(0.0)
    assert len(rest.timesteps) == 0
    assert torch.equal(rest.noised(drawn(0), drawn(1)), drawn(0))

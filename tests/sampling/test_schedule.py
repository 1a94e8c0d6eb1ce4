"""Flow matching's course through noise, beside diffusers' scheduler, and from a level below pure noise."""

from collections.abc import Sequence

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from tests.watches import watch_that
from videoworker.sampling.denoise import Start, denoise
from videoworker.sampling.flow_matching import shifted_schedule
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.schedule import FlowSchedule

CPU = torch.device("cpu")
SHIFT, STEPS = 3.0, 8
LEVELS = torch.linspace(1, 1 / STEPS, STEPS)  # before the shift


@pytest.fixture
def schedule() -> FlowSchedule:
    return shifted_schedule({"shift": SHIFT}, STEPS, None, CPU)


def drawn(seed: int) -> torch.Tensor:
    return torch.randn((1, 3, 4, 5, 6), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("flow_shift", "shift"), [(None, SHIFT), (1.0, 1.0), (7.0, 7.0)])
def test_shifted_schedule(flow_shift: float | None, shift: float) -> None:
    """Levels fall evenly before the shift; the denoiser is told them in thousandths."""
    schedule = shifted_schedule({"shift": SHIFT}, STEPS, flow_shift, CPU)
    expected = shift * LEVELS / (1 + (shift - 1) * LEVELS)
    assert torch.allclose(schedule.sigmas, torch.cat([expected, torch.zeros(1)]))
    assert torch.allclose(schedule.timesteps, 1000 * expected)


def test_steps_are_those_of_diffusers(schedule: FlowSchedule) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    scheduler.set_timesteps(sigmas=LEVELS.tolist())
    latents = drawn(0)
    for index, timestep in enumerate(scheduler.timesteps):
        predicted = drawn(index + 1)
        (expected,) = scheduler.step(predicted, timestep, latents, return_dict=False)
        step = schedule.step(index, predicted, latents, [])
        assert torch.equal(step.before, latents) and torch.allclose(step.after, expected, atol=1e-6)
        latents = step.after
    assert torch.equal(step.clean, step.after)  # at the end of the course


@pytest.mark.parametrize(("level", "skipped"), [(1.0, 0), (0.99, 1), (0.9, 2), (0.75, 4), (0.5, 6), (0.3, 7), (0.1, 8)])
def test_starting_at(schedule: FlowSchedule, level: float, skipped: int) -> None:
    """It starts with the first step whose noise is at most the level. 3 s / (1 + 2 s) of s = 1, 7/8, 6/8, ... is
    1, 0.955, 0.9, 0.833, 0.75, 0.643, 0.5, 0.3."""
    rest = schedule.starting_at(level)
    assert torch.equal(rest.sigmas, schedule.sigmas[skipped:])
    assert torch.equal(rest.timesteps, schedule.timesteps[skipped:])


@pytest.mark.parametrize("level", [1.0, 0.7])
def test_noised(schedule: FlowSchedule, level: float) -> None:
    """The latents that the course starts from are those of diffusers."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    scheduler.set_timesteps(sigmas=LEVELS.tolist())
    rest = schedule.starting_at(level)
    expected = scheduler.scale_noise(drawn(0), rest.timesteps[:1], drawn(1))
    assert torch.allclose(rest.noised(drawn(0), drawn(1)), expected, atol=1e-6)
    if level == 1.0:
        assert torch.equal(rest.noised(drawn(0), drawn(1)), drawn(1))


@pytest.mark.parametrize("level", [1.0, 0.7, 0.3, 0.1])
def test_perfect_predictor(schedule: FlowSchedule, level: float) -> None:
    """From whatever level it starts, a denoiser that knows the clean latents comes to them."""
    clean, rest = drawn(0), schedule.starting_at(level)
    told: list[float] = []

    def predict(latents: torch.Tensor, index: int, prompts: Sequence[None]) -> list[torch.Tensor]:
        told.append(float(rest.timesteps[index]))
        return [(latents - clean) / rest.sigmas[index]]

    guidance = Guidance.constant(1.0, len(rest.timesteps))
    end = denoise(Start(rest.noised(clean, drawn(1)), rest, (None,), guidance, predict), watch_that())
    assert torch.allclose(end, clean, atol=1e-5)
    assert told == schedule.timesteps[schedule.sigmas[:-1] <= level].tolist()

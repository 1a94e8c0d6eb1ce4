"""UniPC as a value: the steps of diffusers' scheduler, a later start, and configurations of other solvers."""

from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler

from videoworker.sampling.schedule import Step
from videoworker.sampling.unipc import UniPcSchedule, unipc_schedule

CPU = torch.device("cpu")
CLOSE = 1e-5


def config(**changes: Any) -> dict[str, Any]:
    """As the published checkpoints have it."""
    asked = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 5.0} | changes
    return dict(UniPCMultistepScheduler(**asked).config)


def velocity(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Of a denoiser that is neither linear nor the same at every step."""
    return torch.tanh(3 * latents) - 0.5 * torch.cos(latents * (1 + timestep / 500))


def noise() -> torch.Tensor:
    return torch.randn((1, 2, 3, 4), generator=torch.Generator().manual_seed(1))


def run(schedule: UniPcSchedule, latents: torch.Tensor) -> torch.Tensor:
    done: list[Step] = []
    for index, timestep in enumerate(schedule.timesteps):
        step = schedule.step(index, velocity(latents, timestep), latents, done[-2:])
        latents = step.after
        done.append(step)
    return latents


def run_theirs(scheduler: UniPCMultistepScheduler, latents: torch.Tensor, first: int = 0) -> torch.Tensor:
    scheduler.set_begin_index(first)
    for timestep in scheduler.timesteps[first:]:
        latents = scheduler.step(velocity(latents, timestep), timestep, latents).prev_sample
    return latents


@pytest.mark.parametrize("flow_shift", [None, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 20])
def test_steps_of_diffusers(steps: int, flow_shift: float | None) -> None:
    theirs = UniPCMultistepScheduler.from_config(config(flow_shift=flow_shift or 5.0))
    theirs.set_timesteps(steps)
    ours = unipc_schedule(config(), steps, flow_shift, CPU)
    assert torch.equal(ours.timesteps, theirs.timesteps) and torch.equal(ours.sigmas, theirs.sigmas)
    made = run(ours, noise())
    assert made.dtype == torch.float32
    assert (made - run_theirs(theirs, noise())).abs().max() < CLOSE


@pytest.mark.parametrize(("level", "left"), [(1.0, 8), (0.95, 6), (0.7, 2), (0.5, 1)])
def test_a_later_start(level: float, left: int) -> None:
    """The rest of the course is one of its own: its first step looks back at nothing."""
    theirs = UniPCMultistepScheduler.from_config(config())
    theirs.set_timesteps(8)
    whole = unipc_schedule(config(), 8, None, CPU)
    ours = whole.starting_at(level)
    assert isinstance(ours, UniPcSchedule) and len(ours.timesteps) == left and len(whole.timesteps) == 8
    clean = noise().flip(0) / 2
    latents = ours.noised(clean, noise())
    begun = theirs.add_noise(clean, noise(), theirs.timesteps[None, 8 - left])
    assert (latents - begun).abs().max() < CLOSE
    assert (run(ours, latents) - run_theirs(theirs, latents, 8 - left)).abs().max() < CLOSE


def test_a_step_tells_the_clean_latents() -> None:
    """From a prediction that is right, at every step, though the latents were led astray before."""
    schedule, clean = unipc_schedule(config(), 4, None, CPU), noise().flip(1)
    latents, done = noise(), list[Step]()
    for index in range(4):
        step = schedule.step(index, (latents - clean) / schedule.sigmas[index], latents, done)
        assert (step.clean - clean).abs().max() < CLOSE
        latents, done = step.after, [*done, step][-2:]
    assert (latents - clean).abs().max() < CLOSE


@pytest.mark.parametrize(
    ("name", "value"),
    [("solver_order", 3), ("solver_type", "bh1"), ("use_flow_sigmas", False), ("prediction_type", "epsilon")],
)
def test_another_solver(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        unipc_schedule(config(**{name: value}), 4, None, CPU)

"""Predictions that are foreseen instead of computed, with denoisers whose answers can be worked out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler

from bench.counting import Count
from tests.watches import watch_that
from videoworker.families.cogvideox.schedule import DiffusionSchedule
from videoworker.models.sampling import CACHED_TENSORS, Call, Sampling
from videoworker.sampling.denoise import Start, denoise
from videoworker.sampling.flow_matching import shifted_schedule
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.schedule import Schedule
from videoworker.sampling.step_cache import cached
from videoworker.sampling.unipc import unipc_schedule

CPU = torch.device("cpu")
STEPS = 12
FAST, ALL = Sampling(STEPS, 3.0, effort="fast").calls, Sampling(STEPS, 3.0).calls
GUIDED = Guidance.constant(3.0, STEPS)


def flow() -> Schedule:
    return shifted_schedule({"shift": 3.0}, STEPS, None, CPU)


def unipc() -> Schedule:
    return unipc_schedule({"prediction_type": "flow_prediction", "use_flow_sigmas": True}, STEPS, 5.0, CPU)


def ddim(prediction_type: str) -> Callable[[], Schedule]:
    def schedule() -> Schedule:
        scheduler = CogVideoXDDIMScheduler(
            prediction_type=prediction_type, rescale_betas_zero_snr=True, timestep_spacing="trailing"
        )
        scheduler.set_timesteps(STEPS)
        return DiffusionSchedule(scheduler, scheduler.timesteps, torch.Generator())

    return schedule


SCHEDULES = {"flow": flow, "unipc": unipc, "v-prediction": ddim("v_prediction"), "sample": ddim("sample")}
each_schedule = pytest.mark.parametrize("schedule", [make() for make in SCHEDULES.values()], ids=list(SCHEDULES))


def drawn(seed: int) -> torch.Tensor:
    return torch.randn((1, 3, 4, 5, 6), generator=torch.Generator().manual_seed(seed))


class Denoiser:
    """Takes the clean latents of a prompt to be `clean(index)`, and those of prompt n to lie n times `apart` beside."""

    def __init__(self, schedule: Schedule, clean: Callable[[int], torch.Tensor]) -> None:
        self._schedule, self._clean = schedule, clean
        self.computed: list[tuple[int, int]] = []  # step, and number of prompts
        self.apart = 0.1 * drawn(9)

    def predict(self, latents: torch.Tensor, index: int, prompts: Sequence[int]) -> list[torch.Tensor]:
        self.computed.append((index, len(prompts)))
        own = self._schedule.predicted(index, self._clean(index), latents)
        return [own + number * self.apart for number in prompts]

    def end(
        self, calls: Sequence[Call], prompts: tuple[int, ...] = (1, 0), guidance: Guidance = GUIDED
    ) -> torch.Tensor:
        self.computed = []
        start = Start(drawn(0), self._schedule, prompts, guidance, self.predict)
        return denoise(cached(start, calls), watch_that())


class Unguided(Guidance):
    """Takes the prompt's own prediction."""

    def combine(self, index: int, predictions: Sequence[torch.Tensor]) -> torch.Tensor:
        return predictions[-1]


@dataclass(frozen=True)
class Remembering(Unguided):
    """And remembers what it was to combine."""

    combined: list[Sequence[torch.Tensor]] = field(default_factory=list)

    def combine(self, index: int, predictions: Sequence[torch.Tensor]) -> torch.Tensor:
        self.combined.append(predictions)
        return super().combine(index, predictions)


@each_schedule
def test_clean_and_predicted_are_inverse(schedule: Schedule) -> None:
    """And the clean latents are those of the step."""
    for index in range(1, STEPS):
        predicted = drawn(index)
        clean = schedule.clean(index, predicted, drawn(0))
        assert torch.allclose(schedule.predicted(index, clean, drawn(0)), predicted, atol=1e-4)
    first = schedule.step(0, drawn(1), drawn(0), [])
    assert torch.allclose(first.clean, schedule.clean(0, drawn(1), drawn(0)), atol=1e-6)


@each_schedule
def test_what_changes_evenly_is_foreseen_exactly(schedule: Schedule) -> None:
    """Half the predictions, and the same end."""
    denoiser = Denoiser(schedule, lambda index: drawn(1) + index * drawn(2) / STEPS)
    every = denoiser.end(ALL)
    assert sum(count for _, count in denoiser.computed) == 2 * STEPS
    fast = denoiser.end(FAST)
    assert sum(count for _, count in denoiser.computed) == Sampling(STEPS, 3.0, effort="fast").predictions
    assert torch.allclose(fast, every, atol=1e-3)


def test_what_is_computed() -> None:
    """The first steps and the last, and between them every other one."""
    denoiser = Denoiser(flow(), lambda index: drawn(1))
    denoiser.end(FAST)
    assert denoiser.computed == [(0, 2), (1, 2), (2, 2), (3, 2), (5, 2), (7, 1), (9, 2), (11, 1)]


def test_without_guidance() -> None:
    denoiser = Denoiser(flow(), lambda index: drawn(1) + index * drawn(2))
    every, fast = (denoiser.end(calls, (0,), Guidance.constant(1.0, STEPS)) for calls in (ALL, FAST))
    assert [count for _, count in denoiser.computed] == [1] * 8
    assert torch.allclose(fast, every, atol=1e-3)


def test_guidance_that_begins_late() -> None:
    """A step whose other prompts were never computed computes them, whatever it was to do."""
    denoiser = Denoiser(flow(), lambda index: drawn(1))
    denoiser.end(FAST, guidance=Guidance((1.0,) * 4 + (3.0,) * 8))
    assert denoiser.computed == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (7, 1), (9, 2), (11, 1)]


def test_guidance_by_several_prompts_and_not_at_every_step() -> None:
    """Each prompt keeps its own distance, and a step without guidance has none."""
    denoiser, guidance = Denoiser(flow(), lambda index: drawn(1)), Remembering((3.0, 1.0) * 6)
    denoiser.end(FAST, (2, 1, 0), guidance)
    assert [len(predictions) for predictions in guidance.combined] == [3, 1] * 6
    for far, near, own in guidance.combined[::2]:
        assert torch.allclose(far - own, 2 * denoiser.apart, atol=1e-5)
        assert torch.allclose(near - own, denoiser.apart, atol=1e-5)


def test_everything_computed() -> None:
    start = Start(drawn(0), flow(), (1, 0), GUIDED, Denoiser(flow(), drawn).predict)
    assert cached(start, ALL) is start


def test_memory() -> None:
    """No more tensors are kept between steps than planning counts."""

    def peak(calls: Sequence[Call]) -> int:
        count = Count()
        with count:
            Denoiser(flow(), lambda index: drawn(1)).end(calls, (2, 1, 0), Unguided((3.0,) * STEPS))
        return count.peak

    guided = [Call.ALL, Call.ALL, Call.NONE, *[Call.PROMPT] * (STEPS - 3)]
    assert peak(guided) - peak(ALL) <= CACHED_TENSORS * drawn(0).nbytes

"""A cache of the predictions of a course, of which only some are computed.

What the denoiser holds for the clean latents changes little from step to step. So where nothing is computed it is
foreseen, on a straight line through the last two steps that were. The clean latents are foreseen, not the prediction:
that has the noise in it, of which some samplers add new at each step. How far the other prompts' predictions are from
the prompt's own is taken from the last step that computed them.

Between two steps it holds at most as many tensors of the latents' size as `models.sampling.CACHED_TENSORS` says.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import torch

from videoworker.models.sampling import Call
from videoworker.sampling.denoise import Start
from videoworker.sampling.schedule import Schedule

Prompt = TypeVar("Prompt")


def cached(start: Start[Prompt], calls: Sequence[Call]) -> Start[Prompt]:
    """`start`, with a denoiser that computes at each step what `calls` says. It is for one course alone. `start` itself
    if everything is computed."""
    if all(call is Call.ALL for call in calls):
        return start
    return replace(start, predict=_StepCache(start.predict, start.schedule, calls).predict)


class _StepCache(Generic[Prompt]):
    """`predict` is that of a `Start`. The first two steps are computed."""

    def __init__(
        self,
        predict: Callable[[torch.Tensor, int, Sequence[Prompt]], list[torch.Tensor]],
        schedule: Schedule,
        calls: Sequence[Call],
    ) -> None:
        self._predict, self._schedule, self._calls = predict, schedule, calls
        self._clean: list[tuple[int, torch.Tensor]] = []  # of the last two steps that were computed, by the prompt
        self._apart: list[torch.Tensor] = []  # the other prompts' predictions, less the prompt's

    def predict(self, latents: torch.Tensor, index: int, prompts: Sequence[Prompt]) -> list[torch.Tensor]:
        """As a `Start` does it."""
        call, others = self._calls[index], len(prompts) - 1
        if others > len(self._apart):
            call = Call.ALL  # guidance begins here
        if call is Call.ALL:
            predictions = self._predict(latents, index, prompts)
            self._keep(index, predictions[-1], latents)
            if others:
                self._apart = [prediction - predictions[-1] for prediction in predictions[:-1]]
            return predictions
        if call is Call.PROMPT:
            (own,) = self._predict(latents, index, prompts[-1:])
            self._keep(index, own, latents)
        else:
            own = self._schedule.predicted(index, self._foreseen(index), latents)
        return [*(own + apart for apart in self._apart[:others]), own]

    def _keep(self, index: int, own: torch.Tensor, latents: torch.Tensor) -> None:
        self._clean = [*self._clean[-1:], (index, self._schedule.clean(index, own, latents))]

    def _foreseen(self, index: int) -> torch.Tensor:
        (earlier, first), (later, second) = self._clean
        return second + (second - first) * ((index - later) / (later - earlier))

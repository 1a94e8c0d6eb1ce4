"""UniPC (arXiv:2302.04867) on a flow-matching schedule: a solver of second order that predicts, then corrects.

Of the paper's choices these: it works on the clean latents, with B2(h), and its first and last steps are of first
order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UniPCMultistepScheduler

from videoworker.sampling.schedule import FlowSchedule, Step

_ORDER = 2

# What a scheduler's configuration must say for this to be its solver.
_CONFIG = {
    "solver_order": _ORDER,
    "solver_type": "bh2",
    "predict_x0": True,
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "lower_order_final": True,
    "disable_corrector": [],
    "final_sigmas_type": "zero",
    "thresholding": False,
    "solver_p": None,
}


def unipc_schedule(config: Any, steps: int, flow_shift: float | None, device: torch.device) -> "UniPcSchedule":
    """The noise levels of a checkpoint's scheduler configuration. `flow_shift` takes the place of its shift; None: its
    own. Raises `ValueError` if the configuration asks for another solver."""
    changes = {} if flow_shift is None else {"flow_shift": flow_shift}
    scheduler = UniPCMultistepScheduler.from_config(config, **changes)
    others = [
        f"{name}={scheduler.config[name]!r}" for name, value in _CONFIG.items() if scheduler.config[name] != value
    ]
    if others:
        raise ValueError(f"The scheduler's configuration asks for another solver: {', '.join(others)}")
    scheduler.set_timesteps(steps)
    return UniPcSchedule(scheduler.sigmas, scheduler.timesteps.to(device))


@dataclass(frozen=True)
class UniPcSchedule(FlowSchedule):
    """The same course as `FlowSchedule`, in longer strides: a step looks back at the two before it. `Step.before` are
    the latents as the step's own prediction corrects them."""

    def step(self, index: int, predicted: torch.Tensor, latents: torch.Tensor, done: Sequence[Step]) -> Step:
        clean = self.clean(index, predicted, latents)
        before = latents if index == 0 else self._corrected(index, clean, done)
        return Step(before, clean, self._foreseen(index, before, clean, done))

    def _order(self, index: int) -> int:
        """Of the step from `sigmas[index]` to the next: as many steps as there are to look back at, but the last step
        is of first order."""
        return min(_ORDER, index + 1, len(self.timesteps) - index)

    def _foreseen(self, index: int, before: torch.Tensor, clean: torch.Tensor, done: Sequence[Step]) -> torch.Tensor:
        """The latents at `sigmas[index + 1]`, from those at `sigmas[index]` and their clean latents."""
        stride = self._stride(index)
        if self._order(index) == 1:
            return stride.along(before, clean)
        slope = (done[-1].clean - clean) / self._ratio(index)
        return stride.along(before, clean, slope / 2)

    def _corrected(self, index: int, clean: torch.Tensor, done: Sequence[Step]) -> torch.Tensor:
        """The latents at `sigmas[index]` again, now that their own clean latents are known."""
        stride, last = self._stride(index - 1), done[-1]
        change = clean - last.clean
        if self._order(index - 1) == 1:
            return stride.along(last.before, last.clean, change / 2)
        ratio = self._ratio(index - 1)
        first, second = stride.moments()
        share = (first - second) / (1 - ratio)  # of the slope before; the two weights solve the order's conditions
        slope = (done[-2].clean - last.clean) / ratio
        return stride.along(last.before, last.clean, share * slope + (first - share) * change)

    def _stride(self, index: int) -> "_Stride":
        return _Stride(self.sigmas[index].double(), self.sigmas[index + 1].double())

    def _ratio(self, index: int) -> torch.Tensor:
        """The stride before, backwards, as a multiple of stride `index`; negative."""
        return -self._stride(index - 1).length / self._stride(index).length


@dataclass(frozen=True)
class _Stride:
    """From one noise level to the next, as single numbers on the host."""

    start: torch.Tensor
    end: torch.Tensor

    @property
    def length(self) -> torch.Tensor:
        """In the logarithm of the ratio of signal to noise; infinite if it ends without noise."""
        return _log_ratio(self.end) - _log_ratio(self.start)

    def along(self, latents: torch.Tensor, clean: torch.Tensor, change: torch.Tensor | float = 0.0) -> torch.Tensor:
        """The latents at the end, if on the way `clean` moves by `change`, as the solver weighs it."""
        gain = (1 - self.end) * torch.expm1(-self.length)
        return self.end / self.start * latents - gain * (clean + change)

    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The right sides of the two conditions for second order: (phi_2 and 2 phi_3, each times the length) / B2."""
        length, decay = -self.length, torch.expm1(-self.length)
        first = decay / length - 1
        return first / decay, 2 * (first / length - 0.5) / decay


def _log_ratio(sigma: torch.Tensor) -> torch.Tensor:
    return torch.log(1 - sigma) - torch.log(sigma)

"""One step of learning, as all stages take it."""

from collections.abc import Sequence

import torch
from torch import nn

Optimizers = tuple[torch.optim.Optimizer, ...]


def optimizers(networks: Sequence[nn.Module], rate: float) -> Optimizers:
    """Muon for matrices, AdamW for all else."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    matrices = [parameter for parameter in parameters if parameter.ndim == 2 and min(parameter.shape) > 1]
    known = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in parameters if id(parameter) not in known]
    return (
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, weight_decay=0.0, betas=(0.9, 0.98)),
    )


def learn(chosen: Optimizers, loss: torch.Tensor, rate: float) -> None:
    """Moves all parameters at this rate."""
    for optimizer in chosen:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
    loss.backward()
    every = [parameter for one in chosen for group in one.param_groups for parameter in group["params"]]
    nn.utils.clip_grad_norm_(every, 1.0)
    for optimizer in chosen:
        optimizer.step()


def warm_then_cool(step: int, steps: int) -> float:
    """The share of the full rate: it rises for 50 steps, and falls to nothing in the second half."""
    return min((step + 1) / 50, 1.0, max(steps - step, 1) / (0.5 * steps))

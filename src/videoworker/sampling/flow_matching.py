"""The flow-matching schedules of checkpoints, from their scheduler's configuration."""

from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from videoworker.sampling.schedule import FlowSchedule


def shifted_schedule(config: Any, steps: int, flow_shift: float | None, device: torch.device) -> FlowSchedule:
    """Levels of noise that fall evenly from 1, before the shift moves steps towards the noisy end. If `flow_shift` is
    None, the shift is the configuration's."""
    changes = {} if flow_shift is None else {"shift": flow_shift}
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config, **changes)
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, steps, endpoint=False))
    return FlowSchedule(scheduler.sigmas, scheduler.timesteps.to(device))

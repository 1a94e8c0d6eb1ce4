"""The job that asks a worker what it is: which model lies on its device, which others it has, and what room there is.

Its input is `{"probe": true}`. It makes nothing. The gateway sends it to an idle worker, to say in `/health` what is
behind it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psutil
import torch

from videoworker.engine.engine import Engine

PROBE = {"probe": True}

Handle = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


def answering(handle: Handle, engine: Engine) -> Handle:
    """`handle`, before which probes are answered. The SDK hands out one job at a time, so the device is idle then."""

    async def probed(job: Mapping[str, Any]) -> dict[str, Any]:
        return facts(engine) if job.get("input") == PROBE else await handle(job)

    return probed


def facts(engine: Engine) -> dict[str, Any]:
    """`model` is the video model that is loaded, else that of sounds, None if there is neither. `models` are those that
    jobs can have. `gpu` is None without a GPU."""
    memory = psutil.virtual_memory()
    loaded = engine.loaded or engine.sounds.loaded
    return {
        "model": None if loaded is None else loaded.title,
        "models": engine.offered(),
        "gpu": _gpu() if torch.cuda.is_available() else None,
        "cpu_percent": psutil.cpu_percent(),  # since the last probe, or since the start
        "memory": {"total_bytes": memory.total, "free_bytes": memory.available},
    }


def _gpu() -> dict[str, Any]:
    """What other processes take is not free. What this process could give back is."""
    free, total = torch.cuda.mem_get_info()
    reusable = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return {"name": torch.cuda.get_device_name(), "total_bytes": total, "free_bytes": free + reusable}

"""Whether this machine can serve at all, proved once before the first job.

On the platform the SDK runs the checks. If one fails, it tells the platform which one and why, and ends the process.
They run in their order, so the cheap ones come first.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from runpod.serverless import register_fitness_check

from videoworker.errors import Code, JobError
from videoworker.settings import Settings

# A long clip's file and its copy, with room to spare.
MIN_FREE_BYTES = 1_000_000_000
_SIDE = 256
_DRIVER_SECONDS = 30  # a broken GPU can leave its driver without an answer

Check = Callable[[], object]


def run_or_register(on_platform: bool, checks: dict[str, Check]) -> None:
    """Registers the checks with the SDK by their names. Off the platform the SDK runs none, so they are run here."""
    for name, check in checks.items():
        if on_platform:
            register_fitness_check(_with_name(name, check))
        else:
            check()


def check_disk(settings: Settings) -> None:
    """Raises `JobError` if the disk is full where videos are made or where finished files go."""
    for folder in (Path(tempfile.gettempdir()), settings.output_dir.resolve()):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if (free := shutil.disk_usage(existing).free) < MIN_FREE_BYTES:
            message = f"The disk has {free} bytes free for videos; at least {MIN_FREE_BYTES} are needed."
            raise JobError(Code.DELIVERY_FAILED, message)


def check_device(settings: Settings) -> None:
    """Raises `JobError` if RunPod has given GPUs and torch can use none, or if the device for clips does not multiply
    matrices rightly. The matrices hold small whole numbers, so every device must give the exact product."""
    if _is_given_gpu(settings) and not torch.cuda.is_available():
        message = f"RunPod has given a GPU that torch cannot use: the driver is {_driver()}, and torch is built for"
        built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "processors alone"
        raise JobError(Code.GPU_UNAVAILABLE, f"{message} {built_for}. Let the endpoint choose hosts that have that.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    numbers = torch.arange(_SIDE * _SIDE).reshape(_SIDE, _SIDE) % 7
    expected = numbers @ numbers.T
    try:
        matrix = numbers.to(device, torch.float32)
        product = (matrix @ matrix.T).cpu()
    except RuntimeError as error:
        raise JobError(Code.GPU_UNAVAILABLE, f"The device {device} does not compute.") from error
    if not torch.equal(product.to(expected.dtype), expected):
        raise JobError(Code.GPU_UNAVAILABLE, f"The device {device} computes wrongly.")


def _is_given_gpu(settings: Settings) -> bool:
    """Whether the platform has given the worker a GPU.

    If it has not said how many, a machine of RunPod's has one if it has NVIDIA's tools. `videoworker serve` names its
    workers as RunPod does, but has the SDK's check of GPUs skipped.
    """
    if settings.runpod_gpu_count is not None:
        return settings.runpod_gpu_count > 0
    is_runpods = settings.runpod_pod_id is not None and not settings.runpod_skip_gpu_check
    return is_runpods and shutil.which("nvidia-smi") is not None


def _driver() -> str:
    """The version of NVIDIA's driver and the newest CUDA that it runs, or why that is not known."""
    if shutil.which("nvidia-smi") is None:
        return "absent"
    try:
        told = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=_DRIVER_SECONDS).stdout
    except subprocess.TimeoutExpired:
        return "silent"
    found = re.search(r"Driver Version: *(\S+) .*CUDA Version: *(\S+)", told)
    return f"{found[1]}, for CUDA {found[2]}" if found else "out of order"


def _with_name(name: str, check: Check) -> Check:
    """`check` as a function of this name, which the SDK tells if the check fails."""

    def run() -> None:
        check()

    run.__name__ = name
    return run

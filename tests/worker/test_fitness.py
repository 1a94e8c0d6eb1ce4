"""What must hold before a worker serves."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from videoworker.errors import Code, JobError
from videoworker.settings import Settings
from videoworker.worker import fitness


def test_this_machine_is_fit(settings: Settings, tmp_path: Path) -> None:
    fitness.check_device(settings)
    fitness.check_disk(settings.model_copy(update={"output_dir": tmp_path / "not" / "yet" / "there"}))


@pytest.mark.parametrize("full", ["temporary", "made"])
def test_a_full_disk_is_told_in_bytes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    for name in ("temporary", "made"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    real = shutil.disk_usage

    def usage(folder: Path) -> object:  # a full file system cannot be had without root
        return real(folder)._replace(free=1000) if folder == tmp_path / full else real(folder)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(JobError) as caught:
        fitness.check_disk(settings.model_copy(update={"output_dir": tmp_path / "made" / "later"}))
    assert caught.value.code is Code.DELIVERY_FAILED and "1000 bytes free" in caught.value.message
    assert str(tmp_path) not in caught.value.message


class Faulty(torch.utils._python_dispatch.TorchDispatchMode):
    """A device whose products are off by one in one place, or that gives none."""

    def __init__(self, raises: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no types
        self._raises = raises

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.mm.default and given.is_floating_point():
            if self._raises:
                raise RuntimeError("CUDA error: unspecified launch failure")
            given[3, 5] += 1
        return given


@pytest.mark.parametrize(("raises", "told"), [(True, "does not compute"), (False, "computes wrongly")])
def test_a_device_that_computes_wrongly_or_not_at_all_is_not_fit(settings: Settings, raises: bool, told: str) -> None:
    with Faulty(raises), pytest.raises(JobError) as caught:
        fitness.check_device(settings)
    assert caught.value.code is Code.GPU_UNAVAILABLE and told in caught.value.message


# What `nvidia-smi` prints, where there is a driver.
_TOLD = "| NVIDIA-SMI 570.86.15      Driver Version: 570.86.15      CUDA Version: 12.8     |"


def tools(folder: Path, told: str | None) -> None:
    """NVIDIA's, if they tell anything."""
    if told is not None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\necho '{told}'\n")
        (folder / "nvidia-smi").chmod(0o700)


@pytest.mark.parametrize(
    ("platform", "told", "driver"),
    [
        ({"runpod_gpu_count": 1}, _TOLD, "570.86.15, for CUDA 12.8"),
        ({"runpod_gpu_count": 1, "runpod_skip_gpu_check": True}, _TOLD, "570.86.15, for CUDA 12.8"),
        ({"runpod_gpu_count": 2}, None, "absent"),
        ({"runpod_gpu_count": 1}, "NVIDIA-SMI has failed", "out of order"),
        ({"runpod_pod_id": "a"}, _TOLD, "570.86.15, for CUDA 12.8"),
    ],
    ids=["old driver", "unchecked by the SDK", "no driver", "driver out of order", "not counted"],
)
def test_a_gpu_that_torch_cannot_use(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: dict[str, object],
    told: str | None,
    driver: str,
) -> None:
    """On RunPod such a worker would serve small models on the processor, and fetch large ones in vain."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    tools(tmp_path, told)
    with pytest.raises(JobError) as caught:
        fitness.check_device(settings.model_copy(update=platform))
    assert caught.value.code is Code.GPU_UNAVAILABLE
    assert f"the driver is {driver}, and torch is built for CUDA 13.0." in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("platform", "told"),
    [
        ({}, _TOLD),
        ({"runpod_pod_id": "a"}, None),
        ({"runpod_pod_id": "a", "runpod_gpu_count": 0}, _TOLD),
        ({"runpod_pod_id": "a", "runpod_skip_gpu_check": True}, _TOLD),  # as `videoworker serve` sets them
    ],
    ids=["elsewhere", "a processor of RunPod's", "none given", "the endpoint on one machine"],
)
def test_a_machine_that_is_given_no_gpu(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: dict[str, object],
    told: str | None,
) -> None:
    """A laptop's old driver keeps no small model from being served on its processor."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    tools(tmp_path, told)
    fitness.check_device(settings.model_copy(update=platform))

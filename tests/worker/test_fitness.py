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
    fitness.check_device()
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
def test_a_device_that_computes_wrongly_or_not_at_all_is_not_fit(raises: bool, told: str) -> None:
    with Faulty(raises), pytest.raises(JobError) as caught:
        fitness.check_device()
    assert caught.value.code is Code.GPU_UNAVAILABLE and told in caught.value.message

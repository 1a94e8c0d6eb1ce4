"""Networks that a processor runs from their files: the same clips, and memory for one network at a time."""

import asyncio
import re
from collections.abc import Callable
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import HunyuanVideoTransformer3DModel
from safetensors import safe_open
from safetensors.torch import save_file
from structlog.testing import capture_logs
from transformers import CLIPTextModel, LlamaModel

from builder.make_tiny import FAMILIES
from tests.engine.clips import clip
from tests.whole_job import settings_in
from tests.worker.answers import error_of
from videoworker import job
from videoworker.engine import hardware
from videoworker.engine.engine import Engine
from videoworker.models import MODELS
from videoworker.models.checkpoint import Component
from videoworker.planning.placement import Placement
from videoworker.sampling.whole_decoder import decode_tiled
from videoworker.settings import Settings
from videoworker.worker.handler import Handler

NAME = "hunyuanvideo"


def save(name: str, weights_dir: Path) -> None:
    """A small checkpoint with files of the dtypes that the published ones have here."""
    checkpoint = MODELS[name].checkpoint
    folder = weights_dir / checkpoint.folder
    FAMILIES[name].save(folder, FAMILIES[name].VARIANTS[0])
    for component in checkpoint.components:
        place = folder / component.place
        for file in [place] if place.is_file() else place.glob("*.safetensors"):
            narrow(file, component)


def narrow(file: Path, component: Component) -> None:
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
        tensors = {key: opened.get_tensor(key).clone() for key in opened.keys()}  # noqa: SIM118 (not a dict)
    stored = getattr(torch, component.stored)
    save_file(
        {
            key: tensor.to(stored) if tensor.is_floating_point() and not component.keeps_float32(key) else tensor
            for key, tensor in tensors.items()
        },
        file,
        metadata,
    )


def test_files_of_another_dtype_than_the_declared_one_are_not_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those of the hub's cache: the published ones, as they are."""
    monkeypatch.setattr(hardware, "_computes_in_16_bits", lambda: False)
    FAMILIES[NAME].save(tmp_path / MODELS[NAME].checkpoint.folder, FAMILIES[NAME].VARIANTS[0])  # float32
    made = [
        np.stack(list(clip(Engine(Settings(weights_dir=tmp_path, cpu="allow")), NAME, low_vram=low_vram)))
        for low_vram in (False, True)
    ]
    assert np.array_equal(made[0], made[1])


@pytest.mark.parametrize(
    ("family", "computes_in_16_bits"), [*((family, False) for family in FAMILIES), (NAME, True), ("cogvideox", True)]
)
def test_the_clip_is_that_of_weights_in_memory(
    family: str, computes_in_16_bits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor computes in the dtype of the files, and where each block is cast."""
    monkeypatch.setattr(hardware, "_computes_in_16_bits", lambda: computes_in_16_bits)
    save(family, tmp_path)
    made = []
    for low_vram in (False, True):
        engine = Engine(Settings(weights_dir=tmp_path, cpu="allow"))
        made.append(np.stack(list(clip(engine, family, low_vram=low_vram))))
        assert engine._device.placement is (Placement.MAPPED if low_vram else Placement.RESIDENT)
    assert np.array_equal(made[0], made[1]) and made[0].std() > 0


def resident(folder: Path) -> dict[str, int]:
    """Bytes of the files below a folder that are mapped and in this process's memory, by network."""
    found = dict[str, int]()
    name = None
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            path = Path(line.split(maxsplit=5)[5]) if len(line.split(maxsplit=5)) == 6 else Path()
            name = path.parent.name if path.is_relative_to(folder) else None
        elif name and line.startswith("Rss:"):
            found[name] = found.get(name, 0) + int(line.split()[1]) * 1024
    return {network: size for network, size in found.items() if size}


def test_a_job_has_one_network_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of a real job, each seen as it begins and as it ends. The autoencoder's files are of another dtype
    and read at once, so that none of its pages is left."""
    save(NAME, tmp_path)
    monkeypatch.setattr(hardware, "_computes_in_16_bits", lambda: True)
    settings = settings_in(tmp_path, tmp_path, monkeypatch).model_copy(update={"cpu": "allow"})
    seen: list[tuple[str, dict[str, int]]] = []

    def watched(network: Any, name: str, run: Callable[..., Any], *positional: Any, **named: Any) -> Any:
        seen.append((name, resident(tmp_path)))
        made = run(network, *positional, **named)
        seen.append((name, resident(tmp_path)))
        return made

    networks: dict[str, type[torch.nn.Module]] = {
        "text_encoder": LlamaModel,
        "text_encoder_2": CLIPTextModel,
        "transformer": HunyuanVideoTransformer3DModel,
    }
    for name, kind in networks.items():
        monkeypatch.setattr(kind, "forward", partialmethod(watched, name, kind.forward))

    def decoded(*given: Any) -> torch.Tensor:
        made = decode_tiled(*given)
        seen.extend([("vae", resident(tmp_path))] * 2)  # its first layer has given back what was there before
        return made

    monkeypatch.setattr("videoworker.families.hunyuanvideo.family.decode_tiled", decoded)
    engine = Engine(settings)
    size = {"width": 256, "height": 256, "num_frames": 5, "num_inference_steps": 2}
    asked = {"api": "native", "model": NAME, "prompt": "a cat", "low_vram": True} | size
    handler = Handler(settings, partial(job.run, engine=engine, settings=settings))
    with capture_logs() as logs:
        answer = asyncio.run(handler.handle({"id": "a", "input": asked}))
    assert answer["video"]["num_frames"] == 5
    assert engine._device.placement is Placement.MAPPED
    assert [name for name, _ in seen[::2]] == ["text_encoder", "text_encoder_2", "transformer", "transformer", "vae"]
    (told,) = [entry for entry in logs if entry["event"] == "time expected"]
    assert told["minutes"] > 0
    for name, pages in seen:
        assert set(pages) <= {name}
    ended = dict(seen[1::2])
    for name in ("text_encoder", "transformer"):  # all their pages came
        (file,) = (tmp_path / NAME / name).glob("*.safetensors")
        assert ended[name][name] >= 0.9 * file.stat().st_size


def test_a_limit_that_a_processor_cannot_keep_is_refused_before_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time that it would take. The model's default clip takes hours."""
    save(NAME, tmp_path)
    settings = settings_in(tmp_path, tmp_path, monkeypatch).model_copy(update={"cpu": "allow"})
    engine = Engine(settings)
    handler = Handler(settings, partial(job.run, engine=engine, settings=settings))
    asked = {"id": "a", "input": {"api": "native", "model": NAME, "prompt": "a cat"}}
    error = error_of(asyncio.run(handler.handle({**asked, "policy": {"executionTimeout": 600_000}})))
    assert error["code"] == "GENERATION_TIMEOUT" and engine.loaded is None
    taken = re.search(
        r"would take about (\d+) seconds \((\d+) minutes\); the time limit is 600 seconds", error["message"]
    )
    assert taken and int(taken[1]) > 6000 and int(taken[2]) == pytest.approx(int(taken[1]) / 60, abs=1)

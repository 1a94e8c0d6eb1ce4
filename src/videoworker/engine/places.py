"""The places where weights may lie on this machine, in the order in which they are looked for."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

from videoworker.models.declaration import Model
from videoworker.settings import Settings


@dataclass(frozen=True)
class Found:
    """A folder in diffusers layout, and in which of the places it lies."""

    place: str
    folder: Path


def locate(model: Model, settings: Settings) -> Found | None:
    """The first of the places on this machine that has a checkpoint of the model, whole or not."""
    volume = settings.network_volume
    places = {
        "WEIGHTS_DIR": settings.weights_dir / model.folder,
        "the network volume": volume / "weights" / model.folder,
        "RunPod's cached model": _snapshot(volume / "huggingface-cache" / "hub", model),
        "the Hugging Face cache": _snapshot(Path(HF_HUB_CACHE), model),
    }
    for place, folder in places.items():
        if folder and (folder / "model_index.json").is_file():
            return Found(place, folder)
    return None


def size(folder: Path) -> int:
    """Bytes of all components' safetensors files."""
    return sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))


def _snapshot(hub: Path, model: Model) -> Path | None:
    """The model's commit in a cache of the hub: the pinned one, else the one that `main` was, else any. Names are
    compared in lower case: RunPod has been seen to write them so."""
    wanted = f"models--{model.repository.replace('/', '--')}".lower()
    folders = [folder for folder in hub.glob("models--*") if folder.name.lower() == wanted]
    if not folders:
        return None
    main = folders[0] / "refs" / "main"
    snapshots = {index.parent.name: index.parent for index in sorted(folders[0].glob("snapshots/*/model_index.json"))}
    preferred = [model.revision or "", main.read_text().strip() if main.is_file() else "", *snapshots]
    return next((snapshots[commit] for commit in preferred if commit in snapshots), None)

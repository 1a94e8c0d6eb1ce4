"""The places on this machine where weights may lie, in the order in which they are searched."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

from videoworker.models.checkpoint import Checkpoint
from videoworker.settings import Settings
from videoworker.weights.files import weight_files


@dataclass(frozen=True)
class Found:
    """A checkpoint's folder, and the place that it lies in."""

    place: str
    folder: Path


def locate(checkpoint: Checkpoint, settings: Settings) -> Found | None:
    """The checkpoint in the first place that has it, whole or not; None if no place has it."""
    volume = settings.network_volume
    places = {
        "WEIGHTS_DIR": settings.weights_dir / checkpoint.folder,
        "the network volume": volume / "weights" / checkpoint.folder,
        "RunPod's cached model": _snapshot(volume / "huggingface-cache" / "hub", checkpoint),
        "the Hugging Face cache": _snapshot(Path(HF_HUB_CACHE), checkpoint),
    }
    for place, folder in places.items():
        if folder and (folder / checkpoint.landmark).is_file():
            return Found(place, folder)
    return None


def size(checkpoint: Checkpoint, folder: Path) -> int:
    """Bytes of the files that are loaded."""
    found = (weight_files(folder, component) for component in checkpoint.components)
    return sum(files.size for files in found if files)


def _snapshot(hub: Path, checkpoint: Checkpoint) -> Path | None:
    """The checkpoint's commit in a cache of the hub: the pinned one, else the one that `main` was, else any.

    Names are compared in lower case, because RunPod has been seen to write them so.
    """
    wanted = f"models--{checkpoint.repository.replace('/', '--')}".lower()
    folders = [folder for folder in hub.glob("models--*") if folder.name.lower() == wanted]
    if not folders:
        return None
    main = folders[0] / "refs" / "main"
    found = sorted(folders[0].glob("snapshots/*"))
    snapshots = {snapshot.name: snapshot for snapshot in found if (snapshot / checkpoint.landmark).is_file()}
    preferred = [checkpoint.revision or "", main.read_text().strip() if main.is_file() else "", *snapshots]
    return next((snapshots[commit] for commit in preferred if commit in snapshots), None)

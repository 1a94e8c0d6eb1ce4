"""Has the weights that a worker loads first read from the disk, while the worker still imports torch.

Nothing is imported here that takes long.
"""

from pathlib import Path
from threading import Thread

from videoworker.errors import JobError
from videoworker.models.checkpoint import Checkpoint, Role
from videoworker.planning.machine import Machine
from videoworker.settings import Settings
from videoworker.weights.files import weight_files
from videoworker.weights.places import locate
from videoworker.weights.read_ahead import read_ahead

# NVIDIA's driver makes it. torch would have to be imported to know more.
_GPU = Path("/dev/nvidiactl")

# A clip begins with its prompt.
_ORDER = [
    Role.TEXT_ENCODER,
    Role.IMAGE_ENCODER,
    Role.VIDEO_ENCODER,
    Role.DENOISER,
    Role.UPSAMPLER,
    Role.AUTOENCODER,
]


def read_first_files(settings: Settings, of_api: str | None, takes_video: bool) -> list[Thread]:
    """Starts to read the weights that the worker will load first, by `Machine.to_load`. If there are none, nothing is
    read: the engine will say so."""
    machine = Machine(
        is_installed=lambda checkpoint: locate(checkpoint, settings) is not None,
        may_fetch=False,
        has_gpu=_GPU.exists() or settings.cpu == "allow",
    )
    try:
        checkpoint = machine.to_load(settings, of_api, takes_video).checkpoint
    except JobError:
        return []
    found = locate(checkpoint, settings)
    return [] if found is None else read_ahead(in_order_of_use(checkpoint, found.folder))


def in_order_of_use(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """The files of all networks: those of the text encoder first, then the others as a clip needs them."""
    components = sorted(checkpoint.components, key=lambda component: _ORDER.index(component.role))
    found = [weight_files(folder, component) for component in components]
    return [file for files in found if files is not None for file in files.files]

"""The file beside the weights in which workers keep how long jobs took on each kind of device.

Ownership: all workers that have the same weights share it. Each reads and replaces it under one lock. A reader needs
none, since the file is replaced as a whole.
"""

from collections.abc import Mapping
from pathlib import Path

import structlog
from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from videoworker.planning.pace import KEPT, Measured, Pace
from videoworker.settings import Settings

_NAME = "timings.json"
_LOCK_SECONDS = 5.0  # how long another worker's change is waited for: it takes milliseconds

_ByPace = dict[str, list[Measured]]
_CONTENT = TypeAdapter(dict[str, _ByPace])  # by device

_log = structlog.get_logger()


class Timings:
    """What jobs took on one kind of device, by the file and by this process. Without a file that can be written, it is
    what this process has made."""

    def __init__(self, path: Path | None, device: str) -> None:
        self._path, self._device = path, device
        self._measured = {} if path is None else _read(path).get(device, {})

    @property
    def pace(self) -> Pace:
        return Pace(self._measured)

    def add(self, new: Mapping[str, Measured]) -> None:
        """Adds what a job took, by pace, and takes over what other workers have added."""
        if self._path is not None:
            try:
                self._measured = _add(self._path, self._device, new)
                return
            except OSError as error:
                _log.info("timings are kept in memory alone", reason=error.strerror or type(error).__name__)
                self._path = None
        self._measured = _with(self._measured, new)


def timings_file(settings: Settings) -> Path | None:
    """Beside the weights of the network volume if there is one; None if none is wanted."""
    on_volume = settings.network_volume / "weights"
    folder = on_volume if on_volume.is_dir() else settings.weights_dir
    return folder / _NAME if settings.keep_timings else None


def _add(path: Path, device: str, new: Mapping[str, Measured]) -> _ByPace:
    """What is in the file now, of this device. Raises `OSError` if it cannot be changed."""
    path.parent.stat()  # the lock would make the folder
    with FileLock(f"{path}.lock", timeout=_LOCK_SECONDS):
        content = _read(path)
        content[device] = _with(content.get(device, {}), new)
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(_CONTENT.dump_json(content))
        partial.replace(path)
    return content[device]


def _with(known: _ByPace, new: Mapping[str, Measured]) -> _ByPace:
    return known | {name: [*known.get(name, []), one][-KEPT:] for name, one in new.items()}


def _read(path: Path) -> dict[str, _ByPace]:
    """What the file has, by device and pace; nothing if there is none, or none that can be read."""
    try:
        return _CONTENT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        _log.warning("timings cannot be read", reason=type(error).__name__)
        return {}

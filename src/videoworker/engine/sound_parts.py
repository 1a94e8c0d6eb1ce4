"""The networks of a sound model on the device: those that stay, and the one part that works."""

import time
from pathlib import Path
from typing import Any

import structlog

from videoworker.engine.device import Device
from videoworker.engine.loading import reading
from videoworker.families import family_of_sound
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.sound_model import Part, SoundModel
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch
from videoworker.weights.parameters import network_bytes

_log = structlog.get_logger()


class SoundParts:
    """Belongs to one engine. `loaded` is the checkpoint whose parts lie here, None if there are none."""

    def __init__(self, device: Device) -> None:
        self.loaded: Checkpoint | None = None
        self._device = device
        self._parts: dict[Part, Any] = {}
        self._held: dict[Part, int] = {}

    def reader(self, model: SoundModel, folder: Path) -> Reader:
        """Reads the model's networks in the dtypes that they have here."""
        return Reader(folder, self._device.device, self._device.dtypes(model.checkpoint))

    def weight_bytes(self, model: SoundModel, folder: Path) -> dict[Part, int]:
        """The bytes that each part has here."""
        item_bytes = {name: dtype.itemsize for name, dtype in self._device.dtypes(model.checkpoint).items()}
        return model.bytes_by_part(network_bytes(model.checkpoint, folder, item_bytes))

    @property
    def held_bytes(self) -> int:
        """What lies here."""
        return sum(self._held.values())

    def use(self, model: SoundModel, folder: Path, part: Part, others_stay: bool, watch: Watch) -> Any:
        """The networks of a part. Other parts are freed first unless they stay.

        Raises `JobError`: MODEL_NOT_LOADED if the files cannot be read, or the watch's, which is checked with every
        tensor.
        """
        if self.loaded != model.checkpoint or (not others_stay and set(self._parts) - {part}):
            self.drop()
        self.loaded = model.checkpoint
        if part not in self._parts:
            started = time.monotonic()
            with reading(model.checkpoint, watch):
                self._parts[part] = family_of_sound(model.family).load(self.reader(model, folder), part)
            self._held[part] = self.weight_bytes(model, folder)[part]
            seconds = round(time.monotonic() - started, 2)
            _log.info("sound part loaded", model=model.name, variant=model.variant, part=part, seconds=seconds)
        return self._parts[part]

    def drop(self) -> None:
        """Frees what lies here."""
        if self.loaded is None:
            return
        self.loaded = None
        self._parts.clear()
        self._held.clear()
        self._device.release()

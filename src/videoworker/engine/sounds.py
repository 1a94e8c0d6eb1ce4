"""Makes the sounds of videos on the engine's device, beside the video model or in its place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from videoworker.engine.device import Device
from videoworker.engine.sound_parts import SoundParts
from videoworker.errors import Code, JobError
from videoworker.families import family_of_sound
from videoworker.families.sound_family import Footage, Viewer, Wanted, waveform
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.sound_model import Part, SoundModel
from videoworker.planning.memory import RESERVE
from videoworker.planning.sound import Room, SoundPlan, room_for
from videoworker.watch import Watch

_log = structlog.get_logger()


@dataclass(frozen=True)
class SoundTask:
    """The plan of a sound, the folder of its model's whole checkpoint, what it is the sound of, and what lies on the
    device meanwhile."""

    plan: SoundPlan
    folder: Path
    footage: Footage
    room: Room


class Sounds:
    """Belongs to one engine. The order is: `prepare`, `make_room`, a viewer sees all frames, `make`."""

    def __init__(self, device: Device) -> None:
        self._device, self._parts = device, SoundParts(device)

    @property
    def loaded(self) -> Checkpoint | None:
        """The sound model's checkpoint of which something lies on the device."""
        return self._parts.loaded

    def prepare(self, plan: SoundPlan, folder: Path, footage: Footage, video_bytes: int | None) -> SoundTask:
        """The sound of `footage`. `folder` has its model's weights. The video model needs `video_bytes` in all; None:
        none is used, and what lies on the device may stay there if there is room. Raises `JobError` OUT_OF_MEMORY if
        the device is too small for the sound."""
        return SoundTask(plan, folder, footage, self._room(plan.model, folder, video_bytes))

    def load(self, model: SoundModel, folder: Path, watch: Watch) -> None:
        """Puts the model's networks on the device before the first job. Where there is no room for all of them, each
        part is read and makes room for the next. Raises `JobError` as `prepare` does, or MODEL_NOT_LOADED if the files
        cannot be read."""
        others_stay = self._room(model, folder, None) is not Room.BY_PART
        for part in Part:
            self._parts.use(model, folder, part, others_stay, watch)
        _log.warning("no video model is served: jobs must give a video, to which sound is added", model=model.name)

    def _room(self, model: SoundModel, folder: Path, video_bytes: int | None) -> Room:
        """As `prepare` says."""
        if not self._device.runs_all:
            return Room.BESIDE
        beside = self._device.held_bytes - self._parts.held_bytes + RESERVE if video_bytes is None else video_bytes
        room = room_for(
            model, self._parts.weight_bytes(model, folder), beside, self._device.free_bytes, self._device.memory
        )
        _log.info("room for sound", model=model.name, variant=model.variant, room=room)
        return room

    def staying_bytes(self, video_bytes: int) -> int:
        """Bytes of what lies here, if the device has room for the video model beside it; else 0."""
        held = self._parts.held_bytes
        return held if held + video_bytes <= self._device.free_bytes else 0

    def make_room(self, video_bytes: int) -> None:
        """Frees what lies here, unless the device has room for the video model beside it. That needs `video_bytes` in
        all."""
        if self._device.runs_all and not self.staying_bytes(video_bytes):
            self.drop()

    def drop(self) -> None:
        """Frees what lies here."""
        self._parts.drop()

    def viewer(self, task: SoundTask, file: BinaryIO) -> Viewer:
        """What has to see every frame of the video. It keeps in `file` what it needs of them."""
        model = task.plan.model
        return family_of_sound(model.family).view(self._parts.reader(model, task.folder), task.footage, file)

    def make(self, task: SoundTask, viewer: Viewer, seed: int, watch: Watch) -> NDArray[np.float32]:
        """Samples [1, n] from -1 to 1, exactly as long as the video. `seed` is the video's. Raises `JobError`.

        If memory runs out, the sound is made once more with one part of its model on the device at a time.
        """
        plan = task.plan
        wanted = Wanted(task.footage, plan.prompts, plan.sampling, seed if plan.seed is None else plan.seed)
        with watch.stage("sound"):
            try:
                return self._make(task, task.room, viewer, wanted, watch)
            except torch.OutOfMemoryError as error:
                if task.room is Room.BY_PART:
                    raise self._out_of_memory() from error
                _log.warning("out of memory", room=task.room, next=Room.BY_PART)
            watch.note("The GPU's memory ran out; the sound was made again, one part of its model at a time.")
            self._parts.drop()
            try:
                return self._make(task, Room.BY_PART, viewer, wanted, watch)
            except torch.OutOfMemoryError as error:
                raise self._out_of_memory() from error

    def _make(self, task: SoundTask, room: Room, viewer: Viewer, wanted: Wanted, watch: Watch) -> NDArray[np.float32]:
        """Tries once."""
        if room is not Room.BESIDE:
            self._device.drop()
        model, others_stay = task.plan.model, room is not Room.BY_PART

        def use(part: Part) -> Any:
            return self._parts.use(model, task.folder, part, others_stay, watch)

        made = waveform(family_of_sound(model.family), use, viewer, wanted, watch.sound())
        samples: NDArray[np.float32] = made.numpy()
        return samples

    def _out_of_memory(self) -> JobError:
        """The networks are dropped, because some layers may have been left halfway."""
        self._device.drop()
        self._parts.drop()
        return JobError(
            Code.OUT_OF_MEMORY, "Out of GPU memory while the sound was made. Reduce its duration.", refresh_worker=True
        )

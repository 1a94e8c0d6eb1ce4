"""The way of a job that adds sound to a clip that was given: from its request to a file with the clip's own picture."""

import secrets
from fractions import Fraction
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from videoworker.draft import Draft, Task
from videoworker.engine.engine import Engine
from videoworker.engine.sounds import SoundTask
from videoworker.families.sound_family import Footage
from videoworker.media import marks
from videoworker.media.clip import GivenClip, frames_of, read_clip
from videoworker.media.size import sound_bytes
from videoworker.media.sound_track import add_sound
from videoworker.origin import COMPOSITE, CREATOR_TOOL, Origin
from videoworker.planning.plan import needed_sound_model
from videoworker.planning.sound import plan_sound
from videoworker.planning.work import sound_work
from videoworker.watch import Watch


def dubbed(task: Task, video: str) -> Draft:
    """Adds sound to the clip that the request's field `video` gives. Its picture is copied. Raises `JobError`."""
    request, engine, watch = task.request, task.engine, task.watch
    assert request.audio is not None  # an API sees to it
    model = needed_sound_model(engine.survey(), task.settings.model)
    with watch.stage("decode"):
        clip = read_clip(video, "video", watch)
    task.check_size(len(clip.picture) + sound_bytes(clip.duration, clip.container))
    plan = plan_sound(request.audio, model, clip.duration)
    sound, revision = engine.prepare_sound(plan, _footage(clip), watch)
    work = sound_work(plan, clip.duration)
    watch.expect(engine.expected(work))
    seed = plan.seed if plan.seed is not None else request.seed
    seed = secrets.randbits(32) if seed is None else seed
    waveform = _heard(engine, sound, clip, seed, watch)
    path = task.folder / f"video.{clip.container}"
    metadata = {
        "sound_model": model.name,
        "model_revision": revision,
        "sound_seed": str(seed),
        "software": CREATOR_TOOL,
    }
    with watch.stage("encode"):
        path.write_bytes(clip.picture)
        add_sound(path, clip.container, waveform, watch, metadata | marks.tags(task.settings, COMPOSITE))
    origin = Origin(model.name, revision, given=clip.data)
    notes = (*model.checkpoint.notes, *model.reservations)
    return Draft(path, clip, origin, model.name, plan.sampling, seed, notes, work)


def _footage(clip: GivenClip) -> Footage:
    """Its sound is as long as the file says, to which its rate is only near if that varies."""
    duration = Fraction(clip.duration).limit_denominator(1_000_000)
    return Footage(clip.num_frames, clip.num_frames / duration)


def _heard(engine: Engine, sound: SoundTask, clip: GivenClip, seed: int, watch: Watch) -> NDArray[np.float32]:
    watch.expect_sound_alone()
    with TemporaryFile() as seen:
        viewer = engine.sounds.viewer(sound, seen)
        with watch.stage("sound"):
            for frame in frames_of(clip, watch):
                viewer.see(frame)
        return engine.sounds.make(sound, viewer, seed, watch)

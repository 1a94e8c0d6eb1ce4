"""The way of a job that makes a clip: from its request to a file with picture and sound."""

import hashlib
import secrets
from tempfile import TemporaryFile

import numpy as np
import structlog
from numpy.typing import NDArray

from videoworker.canvas import Picture
from videoworker.draft import Draft, Task
from videoworker.engine.clip import Clip
from videoworker.engine.engine import Engine, Prepared
from videoworker.media import marks
from videoworker.media.file import VideoFile, VideoFormat
from videoworker.media.picture import decode_picture
from videoworker.media.size import estimated_bytes
from videoworker.media.sound_track import add_sound
from videoworker.origin import CREATOR_TOOL, Origin
from videoworker.planning.plan import Plan, make_plan
from videoworker.request import VideoRequest
from videoworker.watch import Watch

_log = structlog.get_logger()


def filmed(task: Task) -> Draft:
    """Makes the clip. Raises `JobError`."""
    request, engine, watch = task.request, task.engine, task.watch
    plan = make_plan(request, engine.survey(), task.settings.model, task.settings.effort)
    task.check_size(estimated_bytes(_format(request, plan)))
    picture = _picture(request, plan, watch)  # a bad one is told before weights are fetched for it
    prepared = engine.prepare(plan, watch)
    work = engine.work(prepared, request.container)
    if (expected := engine.expected(work, prepared.plan)) is not None:
        _log.info("time expected", model=plan.model.name, minutes=round(sum(expected.values()) / 60, 1))
        watch.expect(expected)
    plan = prepared.plan
    first_frame = None if picture is None else plan.decoded.fill(picture)
    seed = secrets.randbits(32) if request.seed is None else request.seed
    format = _format(request, plan)
    clip = Clip(request.prompt, request.negative_prompt or "", first_frame, seed)
    path = task.folder / f"video.{request.container}"
    with VideoFile(path, format, _metadata(request, prepared, seed) | marks.tags(task.settings)) as file:
        sound = _film(engine, prepared, clip, file, watch)
    if sound is not None:
        with watch.stage("encode"):
            add_sound(path, request.container, sound, watch)
    models = ", ".join(part.model.name for part in (plan, plan.sound) if part is not None)
    origin = Origin(models, prepared.revision, request.prompt if request.embed_prompt else None)
    return Draft(path, format, origin, plan.model.name, plan.sampling, seed, plan.notes, work)


def _film(engine: Engine, prepared: Prepared, clip: Clip, file: VideoFile, watch: Watch) -> NDArray[np.float32] | None:
    """Writes all frames into the file as they are made, and closes it. Gives the samples of their sound, if there is
    to be one. Its model sees the frames themselves, not those of the file."""
    if prepared.sound is not None:
        watch.expect_sound()
    with TemporaryFile() as seen:
        viewer = None if prepared.sound is None else engine.sounds.viewer(prepared.sound, seen)
        for frame in engine.frames(prepared, clip, watch):
            with watch.stage("encode"):
                file.write(frame)
            if viewer is not None:
                with watch.stage("sound"):
                    viewer.see(frame)
        with watch.stage("encode"):
            file.close()
        if prepared.sound is None or viewer is None:
            return None
        return engine.sounds.make(prepared.sound, viewer, clip.seed, watch)


def _picture(request: VideoRequest, plan: Plan, watch: Watch) -> Picture | None:
    """The caller's picture; None if the request has none."""
    if request.image is None:
        return None
    picture = decode_picture(request.image, "image", watch)
    if not plan.canvas.has_aspect_of(picture):
        height, width = picture.shape[:2]
        watch.note(f"The image ({width}x{height}) was cropped to the video's aspect, centred.")
    return picture


def _format(request: VideoRequest, plan: Plan) -> VideoFormat:
    return VideoFormat(
        request.container,
        plan.decoded,
        plan.fps,
        plan.num_frames,
        request.quality,
        request.crf,
        has_audio=plan.sound is not None,
    )


def _metadata(request: VideoRequest, prepared: Prepared, seed: int) -> dict[str, str]:
    metadata = {
        "prompt_sha256": hashlib.sha256(request.prompt.encode()).hexdigest(),
        "seed": str(seed),
        "model": prepared.plan.model.name,
        "model_revision": prepared.revision,
        "steps": str(prepared.plan.sampling.steps),
        "effort": prepared.plan.sampling.effort,
        "software": CREATOR_TOOL,
    }
    if (sound := prepared.plan.sound) is not None:
        metadata["sound_model"] = sound.model.name
        metadata["sound_seed"] = str(seed if sound.seed is None else sound.seed)
    return metadata | ({"prompt": request.prompt} if request.embed_prompt else {})

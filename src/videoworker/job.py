"""The way of one job: from its validated request to the delivered file and what is reported of it."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoworker import __version__
from videoworker.canvas import Picture
from videoworker.delivery.destinations import destination_for
from videoworker.engine.clip import Clip
from videoworker.engine.engine import Engine, Prepared
from videoworker.errors import Code, JobError
from videoworker.media import marks
from videoworker.media.file import Finished, VideoFile, VideoFormat
from videoworker.media.picture import decode_picture
from videoworker.media.playable import check_plays
from videoworker.media.size import estimated_bytes
from videoworker.media.sound_track import add_sound
from videoworker.origin import SOFTWARE, Origin
from videoworker.planning.plan import Plan, make_plan
from videoworker.request import Result, Video, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.workspace import workspace


def run(job: Mapping[str, Any], request: VideoRequest, watch: Watch, engine: Engine, settings: Settings) -> Result:
    """Makes the video and delivers it. Blocks meanwhile. `job["id"]` is a plain file name. Raises `JobError`."""
    created_at = time.time()
    destination = destination_for(job, settings, watch)
    if (delivered := destination.delivered_before(request)) is not None:
        return delivered
    plan = make_plan(request, engine.survey(), settings.model)
    format = _format(request, plan)
    destination.check_size(estimated_bytes(format))
    if (estimate := engine.pace.estimate(plan)) is not None:
        watch.expect(estimate)
    first_frame = _first_frame(request, plan, watch)  # a bad picture is told before weights are fetched for it
    prepared = engine.prepare(plan, watch)
    seed = secrets.randbits(32) if request.seed is None else request.seed
    models = ", ".join(part.model.name for part in (plan, plan.sound) if part is not None)
    origin = Origin(models, prepared.revision, request.prompt if request.embed_prompt else None)
    clip = Clip(request.prompt, request.negative_prompt or "", first_frame, seed)
    with workspace() as folder:
        path = folder / f"video.{request.container}"
        with VideoFile(path, format, _metadata(request, prepared, seed) | marks.tags(settings)) as file:
            sound = _film(engine, prepared, clip, file, watch)
        if sound is not None:
            with watch.stage("encode"):
                add_sound(path, request.container, sound, watch)
        with watch.stage("encode"):
            marked = marks.mark(path, origin, settings, watch)
            finished = Finished.at(path, format)
        check_plays(path, format, watch)
        engine.pace.learn(plan, watch.timings)
        watch.step("encode", 1, 1)
        _check_size(finished.file_size, settings.max_output_bytes or request.max_file_size)
        destination.check_size(finished.file_size)
        # Cancel and time limit are heard here. Later only an upload hears them, because what is delivered is reported.
        watch.step("deliver", 0, 1)
        video = replace(_report(format, prepared, finished, seed, watch), marks=marked)
        result = Result(str(job["id"]), request, video, _seconds(watch), created_at, time.time())
        with watch.stage("deliver"):
            result = destination.deliver(path, result)
    return replace(result, timings=_seconds(watch), finished_at=time.time())


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


def _first_frame(request: VideoRequest, plan: Plan, watch: Watch) -> Picture | None:
    """The caller's picture as a native frame of the plan's canvas; None if the request has none."""
    if request.image is None:
        return None
    picture = decode_picture(request.image, "image", watch)
    if not plan.canvas.has_aspect_of(picture):
        height, width = picture.shape[:2]
        watch.note(f"The image ({width}x{height}) was cropped to the video's aspect, centred.")
    return plan.canvas.fill(picture)


def _format(request: VideoRequest, plan: Plan) -> VideoFormat:
    return VideoFormat(
        request.container,
        plan.canvas,
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
        "software": f"{SOFTWARE} {__version__}",
    }
    if (sound := prepared.plan.sound) is not None:
        metadata["sound_model"] = sound.model.name
        metadata["sound_seed"] = str(seed if sound.seed is None else sound.seed)
    return metadata | ({"prompt": request.prompt} if request.embed_prompt else {})


def _seconds(watch: Watch) -> dict[str, float]:
    return {stage: round(seconds, 3) for stage, seconds in (watch.timings | {"total": watch.elapsed}).items()}


def _check_size(file_size: int, limit: int | None) -> None:
    if limit is not None and file_size > limit:
        raise JobError(Code.OUTPUT_TOO_LARGE, f"The video has {file_size} bytes; at most {limit} are allowed.")


def _report(format: VideoFormat, prepared: Prepared, finished: Finished, seed: int, watch: Watch) -> Video:
    plan = prepared.plan
    return Video(
        url="",
        container=format.container,
        codec=finished.codec,
        width=format.canvas.width,
        height=format.canvas.height,
        num_frames=finished.num_frames,
        fps=format.fps,
        duration=finished.duration,
        file_size=finished.file_size,
        sha256=finished.sha256,
        seed=seed,
        model=plan.model.name,
        model_revision=prepared.revision,
        steps=plan.sampling.steps,
        guidance_scale=plan.sampling.guidance_scale,
        has_audio=prepared.sound is not None,
        notes=[*plan.notes, *watch.notes],
    )

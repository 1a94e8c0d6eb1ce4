"""The corridor: one job's way from the validated request to the delivered file and its answer."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from videoworker import __version__
from videoworker.delivery.choose import choose
from videoworker.engine.engine import Engine, Timings
from videoworker.errors import Code, JobError
from videoworker.media.file import Finished, VideoFile
from videoworker.media.picture import crop_to, decode_picture
from videoworker.media.playable import check_plays
from videoworker.media.size import estimated_bytes
from videoworker.models.plan import Plan
from videoworker.request import Result, Video, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.workspace import workspace


def run(job: Mapping[str, Any], request: VideoRequest, watch: Watch, engine: Engine, settings: Settings) -> Result:
    """Makes the video; blocks until it is delivered. `job["id"]` is a plain file name. Raises `JobError`."""
    created_at, timings, notes = time.time(), Timings(), list[str]()
    destination = choose(job, settings, watch)
    if (delivered := destination.delivered_before(request)) is not None:
        return delivered
    name = settings.model or request.model or engine.best_installed()
    model = engine.choose(name, request)
    engine.require(model)
    plan = engine.plan(request, model)
    destination.check_size(_estimated_bytes(request, plan))
    if (estimate := engine.pace.estimate(plan)) is not None:
        watch.expect(estimate)
    if engine.model is not model:
        with timings.measure("load"):
            engine.load(name, request)
            watch.step("load", 1, 1)
    image = None if request.image is None else _first_frame(request.image, plan, notes, watch)
    seed = secrets.randbits(32) if request.seed is None else request.seed

    with workspace() as folder:
        path = folder / f"video.{request.container}"
        frames = engine.generate(
            plan, request.prompt, request.negative_prompt or "", image, seed, watch, timings, notes
        )
        with _video_file(path, request, plan, seed, engine.revision) as file:
            for frame in frames:
                with timings.measure("encode"):
                    file.write(_cropped(frame, plan))
            with timings.measure("encode"):
                finished = file.close()
        check_plays(path, plan.num_frames, plan.canvas.width, plan.canvas.height, watch)
        engine.pace.learn(plan, timings)
        watch.step("encode", 1, 1)
        _check_size(finished.file_size, settings.max_output_bytes or request.max_file_size)
        destination.check_size(finished.file_size)
        watch.step("deliver", 0, 1)  # what is delivered is reported: only an upload still looks at cancel and clock
        video = _report(request, plan, finished, seed, engine.revision, notes)
        result = Result(str(job["id"]), request, video, _seconds(timings, watch), created_at, time.time())
        with timings.measure("deliver"):
            result = destination.deliver(path, result)
    return replace(result, timings=_seconds(timings, watch), finished_at=time.time())


def _first_frame(image: str, plan: Plan, notes: list[str], watch: Watch) -> np.ndarray:
    """The caller's picture where the video's frame will be cut out of the model's: cropped to the video's aspect, never
    stretched, and its edges continued into what is cut off."""
    picture, box = decode_picture(image, "image", watch.check), plan.canvas
    height, width = picture.shape[:2]
    if width * box.height != height * box.width:
        notes.append(f"The image ({width}x{height}) was cropped to the video's aspect, centred.")
    right, bottom = box.native_width - box.left - box.crop_width, box.native_height - box.top - box.crop_height
    inside = crop_to(picture, box.crop_width, box.crop_height)
    return np.pad(inside, ((box.top, bottom), (box.left, right), (0, 0)), mode="edge")


def _cropped(frame: np.ndarray, plan: Plan) -> np.ndarray:
    box = plan.canvas
    return np.ascontiguousarray(frame[box.top : box.top + box.crop_height, box.left : box.left + box.crop_width])


def _video_file(path: Path, request: VideoRequest, plan: Plan, seed: int, revision: str) -> VideoFile:
    metadata = {
        "prompt_sha256": hashlib.sha256(request.prompt.encode()).hexdigest(),
        "seed": str(seed),
        "model": plan.model.name,
        "model_revision": revision,
        "steps": str(plan.sampling.steps),
        "software": f"videoworker {__version__}",
    }
    if request.embed_prompt:
        metadata["prompt"] = request.prompt
    return VideoFile(
        path,
        request.container,
        plan.canvas.width,
        plan.canvas.height,
        plan.fps,
        plan.num_frames,
        request.quality,
        request.crf,
        metadata,
    )


def _estimated_bytes(request: VideoRequest, plan: Plan) -> int:
    pixels = plan.canvas.width * plan.canvas.height * plan.num_frames
    return estimated_bytes(request.container, request.quality, request.crf, pixels)


def _seconds(timings: Timings, watch: Watch) -> dict[str, float]:
    return {stage: round(seconds, 3) for stage, seconds in (timings | {"total": watch.elapsed}).items()}


def _check_size(file_size: int, limit: int | None) -> None:
    if limit is not None and file_size > limit:
        raise JobError(Code.OUTPUT_TOO_LARGE, f"The video has {file_size} bytes; at most {limit} are allowed.")


def _report(request: VideoRequest, plan: Plan, finished: Finished, seed: int, revision: str, notes: list[str]) -> Video:
    return Video(
        url="",
        container=request.container,
        codec=finished.codec,
        width=plan.canvas.width,
        height=plan.canvas.height,
        num_frames=finished.num_frames,
        fps=plan.fps,
        duration=finished.duration,
        file_size=finished.file_size,
        sha256=finished.sha256,
        seed=seed,
        model=plan.model.name,
        model_revision=revision,
        steps=plan.sampling.steps,
        guidance_scale=plan.sampling.guidance_scale,
        has_audio=False,
        notes=[*plan.notes, *notes],
    )

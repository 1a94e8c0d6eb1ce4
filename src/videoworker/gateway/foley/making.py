"""Makes one video for one session: from the five inputs to a file that Gradio serves.

A Gradio session ends with its connection. So nobody but the one who waits can ever get the video, and the job and all
its bytes go as soon as it has ended: Gradio's copy an hour later.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import structlog

from videoworker.database.faults import DATABASE_ERRORS
from videoworker.errors import Code, JobError
from videoworker.gateway.foley.sessions import Sessions
from videoworker.gateway.jobs import Job, Query, State
from videoworker.gateway.links import absolute_url
from videoworker.gateway.service import Service

_PROGRESS_SECONDS = 1.0  # how often it is told; a worker tells no oftener
_PAGE = 100

_STAGES = {
    "load": "Loading the model",
    "encode_prompt": "Reading the prompt",
    "denoise": "Denoising",
    "decode": "Decoding the frames",
    "sound": "Making the sound",
    "encode": "Writing the file",
    "deliver": "Delivering",
}

_log = structlog.get_logger()


class _LeftError(Exception):
    """The caller is gone."""


class Maker:
    """`folder`: where Gradio may serve files from. Belongs to one event loop."""

    def __init__(self, service: Service, sessions: Sessions, folder: Path) -> None:
        self._service, self._sessions, self._folder = service, sessions, folder

    async def clear(self) -> None:
        """Deletes the jobs whose sessions ended with an earlier process."""
        if self._service.settings.cancel_on_disconnect:
            while jobs := (await self._service.page(Query(None, _PAGE))).jobs:
                for job in jobs:
                    await self._service.delete(job.id)

    async def make(
        self, inputs: Mapping[str, Any], told: dict[str, Any], caller: tuple[gr.Request, gr.Progress]
    ) -> str:
        """The path of the video's file. `told` becomes the document's answer, or its error. Raises `gradio.Error`."""
        request, progress = caller
        assert request.request is not None  # Gradio has none only where it makes examples
        told.clear()
        left = asyncio.create_task(self._sessions.left(str(request.session_hash)))  # also while the job is submitted
        try:
            async with self._job(inputs) as job:
                done = await self._finished(job, left, progress)
                if done.state is not State.COMPLETED:
                    assert done.error is not None
                    raise done.error
                path = await self._service.file(done, self._folder)
        except JobError as error:
            raise self._refusal(error, told) from None
        except _LeftError:
            raise self._refusal(JobError(Code.CANCELLED, "Nobody waits for the video."), told) from None
        except DATABASE_ERRORS as error:
            self._service.tell(error)
            away = JobError(Code.MODEL_NOT_LOADED, "The service cannot reach its jobs now.")
            raise self._refusal(away, told) from None
        except Exception:  # what Gradio would tell of it may hold paths
            _log.exception("cannot make the video")
            fault = JobError(Code.GENERATION_FAILED, "Internal server error")
            raise self._refusal(fault, told) from None
        finally:
            left.cancel()
        url = absolute_url(request.request, f"/gradio_api/file={path}", self._service.settings)
        told.update(self._service.answer(done, url))
        return str(path)

    @asynccontextmanager
    async def _job(self, inputs: Mapping[str, Any]) -> AsyncIterator[Job]:
        """A job for as long as the block runs. It stays if its caller has left and is not to cancel it by that."""
        submitting = asyncio.create_task(self._service.submit(inputs))
        stays = False
        try:
            yield await asyncio.shield(submitting)
        except _LeftError:
            stays = not self._service.settings.cancel_on_disconnect
            raise
        finally:
            await asyncio.wait({submitting})
            if submitting.exception() is None and not stays:
                await self._service.delete(submitting.result().id)

    async def _finished(self, job: Job, left: asyncio.Task[None], progress: gr.Progress) -> Job:
        """The job once it is final. Raises `_LeftError` once `left` is done: its caller is gone."""
        result = asyncio.create_task(self._service.result(job.id))
        try:
            while not result.done():
                if left.done():
                    raise _LeftError
                self._show(job, progress)
                await asyncio.wait({result, left}, timeout=_PROGRESS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                job = await self._service.find(job.id) or job
            return result.result()
        finally:
            result.cancel()
            await asyncio.gather(result, return_exceptions=True)

    def _show(self, job: Job, progress: gr.Progress) -> None:
        if job.state is State.QUEUED:
            progress(0, desc="Waiting in the queue")
            return
        told = self._service.progress(job)
        words = _STAGES.get(told["stage"], "Working")
        if told["steps"] > 1:
            words += f", step {told['step']} of {told['steps']}"
        if told["remaining"] is not None:
            words += f", about {told['remaining']:.0f} s left"
        progress(told["progress"], desc=words)

    def _refusal(self, error: JobError, told: dict[str, Any]) -> gr.Error:
        """The document's error, on the page and for a client."""
        form = self._service.api.error(error, "")
        told.update(form)
        return gr.Error(form["message"], title=form["error"], print_exception=False)

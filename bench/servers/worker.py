"""Workers that make nothing: one whose requests are made one by one, and one that answers as the product's does."""

import base64
import hashlib
import json
from typing import Any

import requests

from bench.servers.endpoint import AS_WORKER, Endpoint
from videoworker.apis import APIS
from videoworker.errors import JobError
from videoworker.request import Container, Progress, Result, Video
from videoworker.worker.job_id import own_id

VIDEO = b"the bytes of a video, which nobody here looks at" * 100


def video(content: bytes, url: str, container: Container = "mp4") -> Video:
    """What a worker tells of a file with this content at `url`."""
    return Video(
        url=url,
        container=container,
        codec="h264",
        width=64,
        height=64,
        num_frames=8,
        fps=8,
        duration=1.0,
        file_size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        seed=7,
        model="sketch",
        model_revision="0",
        steps=10,
        guidance_scale=1.0,
        has_audio=False,
    )


def delivered_as(job: dict[str, Any]) -> str:
    """Under which a worker delivers the job."""
    return own_id(job["input"])[0] or str(job["id"])


def asked(job: dict[str, Any]) -> dict[str, Any]:
    """The job's input as its caller gave it."""
    return own_id(job["input"])[1]


def inline(content: bytes, container: Container = "mp4") -> str:
    """The URL of a file that comes within the answer."""
    return f"data:video/{container};base64,{base64.b64encode(content).decode()}"


class Worker:
    """A worker whose requests are made one by one."""

    def __init__(self, endpoint: Endpoint, worker_id: str) -> None:
        self._endpoint, self.id = endpoint, worker_id

    def take(self, runs_nothing: bool = True) -> dict[str, Any]:
        answer = self.poll(runs_nothing)
        assert answer.status_code == 200
        job: dict[str, Any] = answer.json()
        return job

    def poll(self, runs_nothing: bool = True) -> requests.Response:
        return self._get("job-take", {"job_in_progress": "0" if runs_nothing else "1"})

    def take_batch(self, size: int) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self._get("job-take-batch", {"batch_size": str(size)}).json()
        return jobs

    def done(self, job_id: str, body: Any, text: str | None = None) -> int:
        """The status of the endpoint's answer."""
        return self._post("job-done", job_id, body, text)

    def progress(self, job_id: str, output: Any) -> int:
        return self.done(job_id, {"status": "IN_PROGRESS", "output": output})

    def chunk(self, job_id: str, output: Any) -> int:
        return self._post("job-stream", job_id, {"output": output})

    def ping(self, *job_ids: str) -> None:
        assert self._get("ping", {"job_id": ",".join(job_ids), "runpod_version": "1.12.0"}).status_code == 200

    def stops(self) -> list[str]:
        answer = self._get("job-stop", {})
        assert answer.status_code == 200
        stops: list[str] = answer.json()["jobsToStop"]
        return stops

    def _get(self, call: str, query: dict[str, str]) -> requests.Response:
        return self._endpoint.get(f"{call}/{self.id}", params=query, headers=AS_WORKER)

    def _post(self, call: str, job_id: str, body: Any, text: str | None = None) -> int:
        """As the SDK posts: JSON with the content type of a form."""
        kind = AS_WORKER | {"Content-Type": "application/x-www-form-urlencoded"}
        query = {"isStream": "false"}
        path = f"{call}/{self.id}/{job_id}"
        if text is not None:
            return self._endpoint.post(path, data=text.encode(), params=query, headers=kind).status_code
        return self._endpoint.post(path, body, params=query, headers=kind).status_code


class FakeWorker(Worker):
    """Answers as a worker does, in the form of a job's own API, without making a video."""

    content = VIDEO
    container: Container = "mp4"

    def tell(self, job: dict[str, Any], fraction: float, preview: str | None = None) -> None:
        """Reports how far the job is."""
        progress = Progress(delivered_as(job), "denoise", 5, 10, fraction, 4.0, 6.0, preview)
        self.progress(job["id"], APIS[job["input"]["api"]].progress(progress))

    def finish(self, job: dict[str, Any], url: str | None = None) -> None:
        """The video is done. `url` None: it comes within the answer."""
        api = APIS[job["input"]["api"]]
        made = video(self.content, url or inline(self.content, self.container), self.container)
        seconds = {"denoise": 9.0, "decode": 2.0, "total": 12.0}
        result = Result(delivered_as(job), api.parse(asked(job)), made, seconds, 1.0, 13.0)
        self.done(job["id"], {"output": api.answer(result)})

    def fail(self, job: dict[str, Any], error: JobError) -> None:
        self.done(job["id"], {"error": json.dumps(APIS[job["input"]["api"]].error(error, delivered_as(job)))})

"""How callers of the gateway's APIs ask for a video and after it, in the words of each API's document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import requests

SECONDS = 100.0  # for an answer, after which none is said to come

Ending = Literal["completed", "failed"]


@dataclass(frozen=True)
class Told:
    """What an API says of a job. `ending` None: it is not final. `error`: why it failed."""

    ending: Ending | None = None
    error: str | None = None


@dataclass(frozen=True)
class PolledApi:
    """One whose jobs are asked after. Its paths follow the gateway's URL, and have `{}` for the job's id. `delete` is
    None if the document has no deletion. `asked`: what is sent beside the prompt."""

    name: str
    generate: str
    id_field: str
    status: str
    video: str
    delete: str | None
    asked: Mapping[str, Any]

    def submit(self, url: str, prompt: str) -> requests.Response:
        return requests.post(f"{url}{self.generate}", json={"prompt": prompt, **self.asked}, timeout=SECONDS)

    def told(self, url: str, job_id: str) -> Told | int:
        """The status of the answer if it is none of a job."""
        answer = requests.get(f"{url}{self.status.format(job_id)}", timeout=SECONDS)
        if answer.status_code != 200:
            return answer.status_code
        body = answer.json()
        error = body["error"]["message"] if isinstance(body.get("error"), dict) else body.get("error")
        return Told(body["status"] if body["status"] in ("completed", "failed") else None, error)

    def fetch(self, url: str, job_id: str) -> requests.Response:
        return requests.get(f"{url}{self.video.format(job_id)}", timeout=SECONDS)

    def remove(self, url: str, job_id: str) -> int:
        """The status of the answer. The API has a deletion."""
        assert self.delete is not None
        return requests.delete(f"{url}{self.delete.format(job_id)}", timeout=SECONDS).status_code


HUNYUANVIDEO = PolledApi(
    "hunyuanvideo",
    "/hunyuanvideo/api/generate",
    "job_id",
    "/hunyuanvideo/api/status/{}",
    "/hunyuanvideo/api/videos/{}.mp4",
    "/hunyuanvideo/api/jobs/{}",
    {},
)
HUNYUANVIDEO_1_5 = PolledApi(
    "hunyuanvideo-1.5",
    "/hunyuanvideo-1.5/generate",
    "task_id",
    "/hunyuanvideo-1.5/status/{}",
    "/hunyuanvideo-1.5/videos/{}.mp4",
    None,
    {},
)
OPENAI = PolledApi(
    "openai",
    "/openai/v1/videos",
    "id",
    "/openai/v1/videos/{}",
    "/openai/v1/videos/{}/content",
    "/openai/v1/videos/{}",
    {"model": "sketch"},
)
POLLED = (HUNYUANVIDEO, HUNYUANVIDEO_1_5, OPENAI)


def call_local(url: str, prompt: str, seconds: float = SECONDS) -> requests.Response:
    """Waits for the video of the API `local`, and hangs up after `seconds` without an answer."""
    form = {"prompt": prompt, "lawful_use_consent": "true"}
    return requests.post(f"{url}/local/generate", data=form, timeout=seconds)

"""Endpoints for tests: one in this process whose clock a test moves, and one in a process that a test can kill."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import requests
import runpod
import uvicorn
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.commands.command_line import VIDEOWORKER
from tests.handler_process import environment
from videoworker.endpoint.app import make_app
from videoworker.endpoint.database import Database
from videoworker.endpoint.process import GUARD
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.server import wire
from videoworker.endpoint.settings import EndpointSettings

PATIENCE = 100.0  # seconds after which something that should happen is said not to have happened
NULL_HANDLER = str(Path(__file__).with_name("null_handler.py"))
SERVE = [*VIDEOWORKER, "serve", "--workers", "0"]
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
TOKEN = "token-of-the-workers"

Answer = TypeVar("Answer")


def eventually(check: Callable[[], Answer]) -> Answer:
    """What `check` gives once it no longer fails an assertion."""
    return Retrying(
        retry=retry_if_exception_type((AssertionError, requests.RequestException)),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(PATIENCE),
        reraise=True,
    )(check)


@contextmanager
def guard() -> Iterator[int]:
    """A process group that is killed when the block ends, and when this process ends."""
    guard = subprocess.Popen(GUARD, stdin=subprocess.PIPE, process_group=0)
    try:
        yield guard.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.communicate()


class Endpoint:
    """An endpoint as its callers see it. `url` is that of the endpoint, without an operation."""

    url: str
    query = f"token={TOKEN}"  # of the workers' URLs

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return requests.post(f"{self.url}/{path}", json=json, timeout=PATIENCE, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}/{path}", timeout=PATIENCE, **options)

    def run(self, job_input: Any, **fields: Any) -> str:
        """The id of the accepted job."""
        answer = self.post("run", {"input": job_input, **fields})
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "IN_QUEUE"
        job_id: str = answer.json()["id"]
        return job_id

    def status(self, job_id: str) -> dict[str, Any]:
        answer = self.get(f"status/{job_id}")
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    def final(self, job_id: str) -> dict[str, Any]:
        """The job's state once it is final."""

        def check() -> dict[str, Any]:
            state = self.status(job_id)
            assert state["status"] in FINAL, state
            return state

        return eventually(check)

    @property
    def client(self) -> runpod.Endpoint:
        """RunPod's own client, unmodified, pointed here."""
        base, _, endpoint_id = self.url.rpartition("/")
        client = runpod.Endpoint(endpoint_id, api_key="key")
        client.rp_client.endpoint_url_base = base
        return client

    @contextmanager
    def worker(self, worker_id: str, handler: str = NULL_HANDLER, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """The SDK's own worker, unmodified, around `handler`. Its whole process group ends with the block."""
        wiring = wire(self.url, TOKEN, EndpointSettings(heartbeat_timeout_seconds=3))
        wiring = {name: value.replace(f"token={TOKEN}", self.query) for name, value in wiring.items()}
        settings = wiring | {"RUNPOD_POD_ID": worker_id} | more
        with guard() as group:
            process = subprocess.Popen([sys.executable, handler], env=environment(**settings), process_group=group)
            yield process
        process.wait()


class EndpointHere(Endpoint):
    """An endpoint in this process, on a thread of its own; a context manager. `advance` lets time pass at once."""

    def __init__(self, settings: EndpointSettings, files: Path) -> None:
        self._settings, self._files, self._ahead = settings, files, 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}/v2/{self._settings.endpoint_id}"
        self._here(self._start(sock))
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()

    def stop(self) -> None:
        self._here(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._database.close()

    def advance(self, seconds: float) -> None:
        """Lets time pass. The endpoint has done what is due when this returns."""
        self._ahead += seconds
        self._here(self.queue.sweep())

    def _here(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _start(self, sock: socket.socket) -> None:
        self._database = Database(self._settings.database_url.get_secret_value())
        clocks = [lambda: time.time() + self._ahead, lambda: time.monotonic() + self._ahead]
        self.queue = Queue(self._database, self._settings, *clocks)
        app = make_app(self.queue, self._settings, TOKEN, self._files)
        await self.queue.open()
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        self._serving = asyncio.create_task(self._server.serve([sock]))

    async def _stop(self) -> None:
        self.queue.close()
        self._server.should_exit = True
        await self._serving


class EndpointProcess(Endpoint):
    """An endpoint in a process of its own, by default without workers.

    It can be killed, and started again on the same port."""

    query = "gpu=x"  # no token: the endpoint makes a new one at each start, and needs none if there are no API keys

    def __init__(self, folder: Path, command: list[str] = SERVE, /, **settings: str) -> None:
        """`command` takes `--port` and prints the URL that it serves."""
        self.folder, self._command, self._port, self._settings = folder, command, 0, settings
        self.process: subprocess.Popen[str] | None = None
        self._stack = ExitStack()

    def start(self) -> None:
        """Returns when it listens."""
        command = [*self._command, "--port", str(self._port)]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(**self._settings),
            stdout=subprocess.PIPE,
            text=True,
            process_group=self._group,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        (self.url,) = re.findall(r"serving (\S+)", line)
        self._port = int(re.findall(r":(\d+)/", self.url)[0])

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Its exit code."""
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        self._group = self._stack.enter_context(guard())
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.kill()
        self._stack.close()


class Worker:
    """A worker whose requests a test makes one by one."""

    def __init__(self, endpoint: Endpoint, worker_id: str) -> None:
        self._endpoint, self.id = endpoint, worker_id

    def take(self, runs_nothing: bool = True) -> dict[str, Any]:
        query = {"token": TOKEN, "job_in_progress": "0" if runs_nothing else "1"}
        answer = self._endpoint.get(f"job-take/{self.id}", params=query)
        assert answer.status_code == 200
        job: dict[str, Any] = answer.json()
        return job

    def take_batch(self, size: int) -> list[dict[str, Any]]:
        query = {"token": TOKEN, "batch_size": str(size)}
        jobs: list[dict[str, Any]] = self._endpoint.get(f"job-take-batch/{self.id}", params=query).json()
        return jobs

    def done(self, job_id: str, body: Any, text: str | None = None) -> int:
        """The status of the endpoint's answer."""
        return self._post("job-done", job_id, body, text)

    def progress(self, job_id: str, output: Any) -> int:
        return self.done(job_id, {"status": "IN_PROGRESS", "output": output})

    def chunk(self, job_id: str, output: Any) -> int:
        return self._post("job-stream", job_id, {"output": output})

    def ping(self, *job_ids: str) -> None:
        query = {"token": TOKEN, "job_id": ",".join(job_ids), "runpod_version": "1.12.0"}
        assert self._endpoint.get(f"ping/{self.id}", params=query).status_code == 200

    def stops(self) -> list[str]:
        answer = self._endpoint.get(f"job-stop/{self.id}", params={"token": TOKEN})
        assert answer.status_code == 200
        stops: list[str] = answer.json()["jobsToStop"]
        return stops

    def _post(self, call: str, job_id: str, body: Any, text: str | None = None) -> int:
        """As the SDK posts: JSON with the content type of a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        query = {"token": TOKEN, "isStream": "false"}
        path = f"{call}/{self.id}/{job_id}"
        if text is not None:
            return self._endpoint.post(path, data=text.encode(), params=query, headers=kind).status_code
        return self._endpoint.post(path, body, params=query, headers=kind).status_code

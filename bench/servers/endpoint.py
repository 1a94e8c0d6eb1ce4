"""An endpoint as its callers see it, and one in a process of its own that can be killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self, TypeVar
from urllib.parse import urlsplit

import requests
import runpod
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from bench.servers.processes import VIDEOWORKER, environment
from videoworker.endpoint.process import GUARD
from videoworker.endpoint.server import wire
from videoworker.endpoint.settings import EndpointSettings

PATIENCE = 100.0  # seconds after which something that should happen is said not to have happened
NULL_HANDLER = str(Path(__file__).with_name("null_handler.py"))
SERVE = [*VIDEOWORKER, "serve", "--workers", "0"]
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
TOKEN = "token-of-the-workers"
AS_WORKER = {"Authorization": TOKEN}

Answer = TypeVar("Answer")


def eventually(check: Callable[[], Answer], patience: float = PATIENCE) -> Answer:
    """What `check` gives once it no longer fails an assertion. Its last failure after `patience` seconds."""
    return Retrying(
        retry=retry_if_exception_type((AssertionError, requests.RequestException)),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(patience),
        reraise=True,
    )(check)


@contextmanager
def guard() -> Iterator[int]:
    """A process group that is killed with the block, and with this process."""
    guard = subprocess.Popen(GUARD, stdin=subprocess.PIPE, process_group=0)
    try:
        yield guard.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.communicate()


class Endpoint:
    """An endpoint as its callers see it: `url` is the endpoint's, without the operation."""

    url: str
    headers: Mapping[str, str] = {}  # of each request that names none

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return requests.post(f"{self.url}/{path}", json=json, timeout=PATIENCE, **{"headers": self.headers} | options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}/{path}", timeout=PATIENCE, **{"headers": self.headers} | options)

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
        settings = EndpointSettings(heartbeat_timeout_seconds=3)
        # Without a home, the SDK finds no key of RunPod that it would send in the token's place.
        own = {"RUNPOD_AI_API_KEY": TOKEN, "RUNPOD_POD_ID": worker_id, "HOME": os.devnull}
        given = wire(self.url, settings) | own | more
        with guard() as group:
            process = subprocess.Popen([sys.executable, handler], env=environment(**given), process_group=group)
            yield process
        process.wait()


class EndedError(Exception):
    """A service ended before it listened."""


class ServiceProcess:
    """A service of this package in a process of its own; a context manager. It can be killed, and started again on the
    same port."""

    url: str
    log: IO[str] | None = None
    """Where its log goes. None: to this process's standard error."""

    def __init__(self, folder: Path, command: list[str], /, **settings: str) -> None:
        """`command` takes `--port` and prints where it serves."""
        self.folder, self._command, self._port, self._settings = folder, command, 0, settings
        self.process: subprocess.Popen[str] | None = None
        self._stack = ExitStack()

    def start(self, *more: str) -> None:
        """Returns when it listens. `more` options take the place of the command's. Raises `EndedError`."""
        command = [*self._command, *more, "--port", str(self._port)]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(**self._settings),
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            process_group=self._group,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if (found := re.search(r"serving (\S+)", line)) is None:
            raise EndedError
        self.url = found[1]
        self._port = urlsplit(self.url).port or 0

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


class EndpointProcess(ServiceProcess, Endpoint):
    """An endpoint in a process of its own, without workers unless said."""

    def __init__(self, folder: Path, command: list[str] = SERVE, /, **settings: str) -> None:
        super().__init__(folder, command, **{"WORKER_TOKEN": TOKEN} | settings)

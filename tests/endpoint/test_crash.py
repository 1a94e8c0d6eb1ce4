"""kill -9 of the endpoint and of workers at random times: every job that was accepted is finished."""

import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from bench.servers.endpoint import EndpointProcess, eventually
from tests.databases import on_sqlite


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_accepted_jobs_are_kept(tmp_path: Path, database_url: str, chance: random.Random) -> None:
    """Callers submit jobs all the time. The endpoint is killed meanwhile. Every job that it accepted is kept."""
    accepted: list[str] = []
    enough, end = threading.Event(), threading.Event()
    with EndpointProcess(tmp_path, DATABASE_URL=database_url) as endpoint, ThreadPoolExecutor(4) as callers:

        def submit() -> None:
            while not end.is_set():
                try:
                    accepted.append(endpoint.run({"text": "x" * 1000}))
                except requests.RequestException:
                    continue
                if len(accepted) >= wanted:
                    enough.set()

        for _ in range(3):
            wanted = len(accepted) + chance.randrange(1, 60)
            enough.clear()
            end.clear()
            calls = [callers.submit(submit) for _ in range(4)]
            enough.wait()
            endpoint.kill()
            end.set()
            for call in calls:
                call.result()
            endpoint.start()
            assert {endpoint.status(job_id)["status"] for job_id in accepted} == {"IN_QUEUE"}


@on_sqlite
def test_jobs_are_finished(tmp_path: Path, database_url: str, chance: random.Random) -> None:
    """Every job is finished although the endpoint and workers are killed."""
    settings = {"DATABASE_URL": database_url, "HEARTBEAT_TIMEOUT_SECONDS": "3", "MAX_ATTEMPTS": "10"}
    with EndpointProcess(tmp_path, **settings) as endpoint, ExitStack() as stack:
        workers = {name: stack.enter_context(endpoint.worker(name)) for name in ("first", "second")}
        job_ids = [endpoint.run({"do": "run a while", "steps": 100, "n": number}) for number in range(8)]

        def finished(count: int) -> None:
            done = sum(endpoint.status(job_id)["status"] == "COMPLETED" for job_id in job_ids)
            assert done >= count

        for round_number in range(2):
            least = 3 * round_number + chance.randrange(3)
            eventually(lambda least=least: finished(least))  # type: ignore[misc]
            os.killpg(os.getpgid(workers["first"].pid), signal.SIGKILL)  # with its heartbeat, which would go on
            workers["first"] = stack.enter_context(endpoint.worker(f"first-{round_number}"))
            endpoint.kill()
            endpoint.start()
        eventually(lambda: finished(len(job_ids)))
        states = [endpoint.status(job_id) for job_id in job_ids]
        assert [state["output"]["echo"]["n"] for state in states] == list(range(8))
        health = endpoint.get("health").json()["jobs"]
        assert (health["completed"], health["inQueue"], health["inProgress"], health["failed"]) == (8, 0, 0, 0)

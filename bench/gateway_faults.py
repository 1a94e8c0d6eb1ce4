"""Breaks a running gateway at random instants and looks at what became of its jobs:
`python -m bench.gateway_faults --jobs 200 --seed 1`.

The gateway as `videoworker gateway` runs it, with four of its APIs at once, over an endpoint in a process of its own
and two workers that make nothing. Callers ask for videos, ask after them, delete some, and hang up. Meanwhile the
gateway and the endpoint are killed, the endpoint is away, answers 429 or 500, and loses its answers and its webhooks.
The bucket fails, the database is locked, and jobs are cancelled on the endpoint.

At the end every job that was accepted must have ended in its document's words: completed with the bytes that the worker
made, or failed for the reason that the worker gave. The endpoint must have had each job once, none that was refused,
and must have none left. Deleted and cancelled jobs must have left nothing: no object in the bucket, no file. What is
final must never have changed.
"""

import collections
import random
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import requests
import typer

from bench.campaigns import conduct
from bench.servers.endpoint import EndedError, EndpointProcess, ServiceProcess
from bench.servers.fault_proxy import Fault, FaultProxy
from bench.servers.gateway_callers import POLLED, PolledApi, Told, call_local
from bench.servers.processes import VIDEOWORKER
from bench.servers.relay import Relay
from bench.servers.store import ACCESS_KEY, SECRET, new_bucket, swift
from bench.servers.worker import VIDEO, FakeWorker, delivered_as
from videoworker.errors import Code, JobError

WORKERS = 2
AT_ONCE = 6  # jobs that are not final, beside those of `local`
PATIENCE = 300.0  # seconds without any job becoming final, after which the rest is said to hang
APIS = (*(api.name for api in POLLED), "local")

# Out of 100 jobs, how many meet which fault; of few jobs one at least.
SCHEDULE = {
    "gateway killed": 8,
    "gateway told to end": 2,
    "endpoint killed": 3,
    "endpoint away": 4,
    "endpoint answers 429": 5,
    "endpoint answers 500": 3,
    "answer to a submission lost": 6,
    "webhooks lost": 4,
    "bucket answers 503": 4,
    "bucket breaks off": 3,
    "database locked": 3,
    "job cancelled on the endpoint": 4,
    "job deleted": 10,
    "caller hangs up": 8,
}
LONGEST = "endpoint away for a minute"  # once in every 100 jobs
FAILURE, CANCELLED = "The video does not fit into memory.", "The job was cancelled."
ENDS = "The service is about to end. Please try again in a few moments."
LOCAL_SHARE = 0.2

Delivery = Literal["bucket", "answer", "none"]
DELIVERED = ("video.mp4", "video.json")


@dataclass(frozen=True)
class Plan:
    """What a worker does with a job: how long it takes, in seconds, and how it delivers the video. "none": it fails."""

    prompt: str
    seconds: float
    delivery: Delivery

    @property
    def content(self) -> bytes:
        return VIDEO + self.prompt.encode()


@dataclass(eq=False)
class Accepted:
    """A job that the gateway has accepted, and what it last said of it."""

    api: PolledApi
    id: str
    plan: Plan
    told: Told = field(default_factory=Told)
    is_deleted: bool = False
    was_touched: bool = False  # somebody may have deleted it, or cancelled it on the endpoint


class Workers:
    """They take jobs from the endpoint, and do what each job's plan says. They never hear that a job was cancelled.
    `taken`: the endpoint's ids by prompt."""

    def __init__(self, endpoint: EndpointProcess, store: Any) -> None:
        self.plans: dict[str, Plan] = {}
        self.taken = collections.defaultdict[str, set[str]](set)
        self._endpoint, self._store, self._ended = endpoint, store, threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(f"w{number}",), daemon=True) for number in range(WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Those that wait for a job must be answered, so the endpoint must have ended."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _work(self, worker_id: str) -> None:
        worker = FakeWorker(self._endpoint, worker_id)
        while not self._ended.is_set():
            try:
                answer = worker.poll()
                if answer.status_code == 200:
                    self._do(worker, answer.json())
            except requests.RequestException:
                self._ended.wait(0.1)

    def _do(self, worker: FakeWorker, job: dict[str, Any]) -> None:
        plan = self.plans[job["input"]["prompt"]]
        self.taken[plan.prompt].add(job["id"])
        self._ended.wait(plan.seconds / 2)
        worker.tell(job, 0.5)
        self._ended.wait(plan.seconds / 2)
        worker.content = plan.content
        if plan.delivery == "none":
            worker.fail(job, JobError(Code.OUT_OF_MEMORY, FAILURE))
        elif plan.delivery == "answer":
            worker.finish(job)
        else:
            for file in DELIVERED:
                self._store.client.put_object(
                    Bucket=self._store.name, Key=f"{delivered_as(job)}/{file}", Body=plan.content
                )
            worker.finish(job, "https://store.example/a-link-that-has-expired")


class Campaign:
    """One run. `problems` are what must not be."""

    def __init__(self, folder: Path, rng: random.Random, stack: ExitStack) -> None:
        self._folder, self._rng = folder, rng
        for name in ("swift", "endpoint", "gateway"):
            (folder / name).mkdir()
        self._store = new_bucket(stack.enter_context(swift(folder / "swift")))
        self._bucket = stack.enter_context(FaultProxy(self._store.port))
        self._way, self._webhooks = stack.enter_context(Relay()), stack.enter_context(Relay())
        self._endpoint = EndpointProcess(folder / "endpoint", MAX_ATTEMPTS="100", WEBHOOK_RETRY_SECONDS="1")
        stack.enter_context(self._endpoint)
        self._way.target = _base(self._endpoint.url)
        settings = {
            "ENDPOINT_URL": self._endpoint.url.replace(self._way.target, self._way.url),
            "WEBHOOK_BASE_URL": self._webhooks.url,
            "HUNYUAN_MAX_QUEUE_SIZE": "1000",
            "PROBE_SECONDS": "0",
            "BUCKET_ENDPOINT_URL": self._bucket.url,
            "BUCKET_ACCESS_KEY_ID": ACCESS_KEY,
            "BUCKET_SECRET_ACCESS_KEY": SECRET,
            "BUCKET_NAME": self._store.name,
        }
        command = [*VIDEOWORKER, "gateway", *(part for name in APIS for part in ("--api", name))]
        self._gateway = ServiceProcess(folder / "gateway", command, **settings)
        self._gateway.log = stack.enter_context((folder / "gateway.log").open("a"))
        stack.enter_context(self._gateway)
        self._webhooks.target = self._gateway.url
        self._workers = Workers(self._endpoint, self._store)
        self._timers: list[threading.Timer] = []
        self._callers: list[threading.Thread] = []
        self._refused: list[str] = []
        self._count = 0
        self.accepted: list[Accepted] = []
        self.ends = collections.Counter[str]()
        self.faults = collections.Counter[str]()
        self.problems: list[str] = []

    def run(self, jobs: int) -> None:
        due = collections.defaultdict[int, list[str]](list)
        for name, often in SCHEDULE.items():
            for _ in range(max(1, round(often * jobs / 100))):
                due[self._rng.randrange(jobs)].append(name)
        for _ in range(jobs // 100):
            due[self._rng.randrange(jobs)].append(LONGEST)
        for number in range(jobs):
            self._wait(AT_ONCE - 1)
            for name in due[number]:
                self._fault(name)
            self._submit()
        self._end()
        if self.problems:
            print((self._folder / "gateway.log").read_text(), file=sys.stderr)

    # What callers do

    def _plan(self) -> Plan:
        self._count += 1
        delivery: Delivery = self._rng.choices(("bucket", "answer", "none"), (6, 3, 1))[0]
        plan = Plan(f"the video with the number {self._count}", self._rng.uniform(0, 0.6), delivery)
        self._workers.plans[plan.prompt] = plan
        return plan

    def _submit(self) -> None:
        plan = self._plan()
        if self._rng.random() < LOCAL_SHARE:
            self._aside(lambda: self._call_local(plan))
            return
        api = self._rng.choice(POLLED)
        try:
            answer = api.submit(self._gateway.url, plan.prompt)
        except requests.RequestException:
            self._revive()  # whether it was accepted, nobody knows
            return
        if answer.status_code in (200, 202):
            self.accepted.append(Accepted(api, answer.json()[api.id_field], plan))
        elif answer.status_code == 503:
            self._refused.append(plan.prompt)
            time.sleep(0.3)
        else:
            self.problems.append(f"{api.name} answers {answer.status_code}: {answer.text}")

    def _call_local(self, plan: Plan) -> None:
        try:
            answer = call_local(self._gateway.url, plan.prompt)
            told = answer.json()
            video = (
                requests.get(f"{self._gateway.url}/local{told['video_url']}", timeout=60) if told["success"] else None
            )
        except (requests.RequestException, ValueError):
            self.ends["local: the connection broke"] += 1
            return
        self.ends[f"local: {answer.status_code}, {'completed' if video is not None else told['error']}"] += 1
        if video is not None and (plan.delivery == "none" or video.content not in (plan.content, b"")):
            self.problems.append(f"local gives another video for {plan}")
        if video is not None and video.status_code not in (200, 503):
            self.problems.append(f"local gives {video.status_code} for {plan}")
        if answer.status_code == 503 and told["error"].startswith("Model not initialized"):
            self._refused.append(plan.prompt)
        elif video is None and told["error"] not in ({FAILURE, ENDS} if plan.delivery == "none" else {ENDS}):
            self.problems.append(f"local answers {answer.status_code} to {plan}: {told}")

    def _hang_up(self) -> None:
        plan, seconds = self._plan(), self._rng.uniform(0.05, 1)

        def call() -> None:
            with suppress(requests.RequestException):
                call_local(self._gateway.url, plan.prompt, seconds)

        self._aside(call)

    def _delete(self) -> None:
        able = [job for job in self.accepted if job.api.delete is not None and not job.is_deleted]
        if not able:
            return
        job = self._rng.choice(able)
        try:
            status = job.api.remove(self._gateway.url, job.id)
        except requests.RequestException:
            job.was_touched = True
            return
        job.is_deleted = status == 200
        if status not in (200, 400, 503) and not (status == 404 and job.was_touched):
            self.problems.append(f"{job.api.name} answers a deletion with {status}")

    def _aside(self, call: Callable[[], None]) -> None:
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        self._callers.append(thread)

    def _wait(self, most: int) -> None:
        """Returns once at most so many jobs are not final."""
        moved = time.monotonic()
        while len(waiting := [job for job in self.accepted if job.told.ending is None and not job.is_deleted]) > most:
            self._revive()
            for job in waiting:
                if self._look(job):
                    moved = time.monotonic()
            if time.monotonic() - moved > PATIENCE:
                self.problems += [f"{job.api.name}'s {job.id} hangs: {job.plan}" for job in waiting]
                for job in waiting:  # no other job waits for these
                    job.is_deleted = True
                return
            time.sleep(0.3)

    def _look(self, job: Accepted) -> bool:
        """Asks after the job. Returns whether it is final, or gone."""
        try:
            told = job.api.told(self._gateway.url, job.id)
        except requests.RequestException:
            return False
        if isinstance(told, Told):
            job.told = told
        elif told == 404 and job.was_touched:
            job.is_deleted = True
        elif told != 503:
            self.problems.append(f"{job.api.name} answers {told} to who asks after {job.id}: {job.plan}")
            job.is_deleted = True
        return job.told.ending is not None or job.is_deleted

    # Faults

    def _fault(self, name: str) -> None:
        acts: dict[str, Callable[[], object]] = {
            "gateway killed": lambda: self._soon(lambda: self._signal_gateway(signal.SIGKILL)),
            "gateway told to end": lambda: self._soon(lambda: self._signal_gateway(signal.SIGTERM)),
            "endpoint killed": self._kill_endpoint,
            "endpoint away": lambda: self._leave(self._rng.uniform(0.3, 6)),
            LONGEST: self._leave_for_long,
            "endpoint answers 429": lambda: self._answer(self._way, 429),
            "endpoint answers 500": lambda: self._answer(self._way, 500),
            "answer to a submission lost": self._lose_an_answer,
            "webhooks lost": lambda: self._answer(self._webhooks, 502),
            "bucket answers 503": lambda: self._fail_bucket(Fault(status=503)),
            "bucket breaks off": lambda: self._fail_bucket(Fault(cut_after=self._rng.randrange(800))),
            "database locked": self._lock_database,
            "job cancelled on the endpoint": self._cancel_there,
            "job deleted": self._delete,
            "caller hangs up": self._hang_up,
        }
        acts[name]()
        self.faults[name] += 1

    def _signal_gateway(self, number: int) -> None:
        process = self._gateway.process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def _revive(self) -> None:
        """Starts the gateway again if it has ended. It may be killed, or told to end, while it starts."""
        process = self._gateway.process
        assert process is not None
        if process.poll() is None:
            return
        expected = {0, -signal.SIGKILL}
        while True:
            code = self._gateway.kill()
            if code not in expected:
                self.problems.append(f"the gateway ended with {code}")
            with suppress(EndedError):
                self._gateway.start()
                return
            expected.add(-signal.SIGTERM)

    def _kill_endpoint(self) -> None:
        self._endpoint.kill()
        self._endpoint.start()

    def _leave(self, seconds: float) -> None:
        self._way.leave()
        self._later(seconds, self._way.come_back)

    def _leave_for_long(self) -> None:
        """Nothing is asked for meanwhile: it would be refused. The open jobs wait."""
        self._leave(60)
        time.sleep(60)

    def _answer(self, relay: Relay, status: int) -> None:
        def answer(now: int | None) -> None:
            relay.status = now

        self._for_a_while(lambda: answer(status), lambda: answer(None), 4)

    def _lose_an_answer(self) -> None:
        """That to the next submission, or to the next cancellation."""
        self._way.lost += 1

    def _fail_bucket(self, fault: Fault) -> None:
        self._for_a_while(lambda: self._bucket.fail_always(fault), lambda: self._bucket.fail_always(None), 4)

    def _lock_database(self) -> None:
        """As a disk that takes seconds to write, or another program that has the file open."""
        file = self._folder / "gateway" / "gateway.db"
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        self._later(self._rng.uniform(0.5, 3), connection.close)

    def _cancel_there(self) -> None:
        """By the endpoint's operator."""
        open_ones = [job for job in self.accepted if job.told.ending is None and self._workers.taken[job.plan.prompt]]
        if open_ones:
            job = self._rng.choice(open_ones)
            job.was_touched = True
            for endpoint_id in self._workers.taken[job.plan.prompt]:
                self._endpoint.post(f"cancel/{endpoint_id}")

    def _for_a_while(self, begin: Callable[[], object], end: Callable[[], object], most: float) -> None:
        begin()
        self._later(self._rng.uniform(0.3, most), end)

    def _soon(self, act: Callable[[], object]) -> None:
        self._later(self._rng.uniform(0, 0.3), act)

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        timer.start()
        self._timers.append(timer)

    # The end

    def _end(self) -> None:
        for timer in self._timers:
            timer.join()
        self._way.lost = 0
        self._wait(0)
        for caller in self._callers:
            caller.join()
        self._revive()
        self._until_settled()
        for job in self.accepted:
            self._look_at_job(job)
        self._look_at_endpoint()
        self._endpoint.kill()
        self._workers.end()
        self._until_clean()
        self._signal_gateway(signal.SIGTERM)
        assert self._gateway.process is not None
        if (code := self._gateway.process.wait(PATIENCE)) != 0:
            self.problems.append(f"the gateway, told to end, ended with {code}")
        self._look_at_what_is_left()

    def _until_settled(self) -> None:
        """Until the gateway has nothing to do with any job, also of those whose callers are gone."""
        started = time.monotonic()
        while unsettled := self._rows("state IN ('queued', 'running') OR to_cancel OR deleted"):
            if time.monotonic() - started > PATIENCE:
                self.problems += [f"never settled: {row}" for row in unsettled]
                return
            time.sleep(0.1)

    def _until_clean(self) -> None:
        """Until the gateway has removed what a worker delivered after its job had ended, and all files of such jobs."""
        started = time.monotonic()
        while (self._files() - self._wanted_files() or set(self._store.keys()) - self._wanted_objects()) and (
            time.monotonic() - started < PATIENCE
        ):
            time.sleep(0.2)

    def _look_at_job(self, job: Accepted) -> None:
        plan, before = job.plan, job.told
        if job.is_deleted:
            if job.api.told(self._gateway.url, job.id) != 404:
                self.problems.append(f"deleted, and there: {job.id}")
            self.ends[f"{job.api.name}: deleted"] += 1
            return
        now = job.api.told(self._gateway.url, job.id)
        if now == 404 and job.was_touched:
            self.ends[f"{job.api.name}: deleted"] += 1
        elif now != before:
            self.problems.append(f"{job.id} changed after it was final: from {before} to {now}")
        elif before.ending == "completed":
            self.ends[f"{job.api.name}: completed"] += 1
            if plan.delivery == "none" or job.api.fetch(self._gateway.url, job.id).content != plan.content:
                self.problems.append(f"{job.api.name} gives another video for {plan}")
        else:
            self.ends[f"{job.api.name}: failed, {before.error}"] += 1
            allowed = {FAILURE} if plan.delivery == "none" else set()
            if before.error not in (allowed | {CANCELLED} if job.was_touched else allowed):
                self.problems.append(f"{job.api.name} says of {plan}: {before}")

    def _look_at_endpoint(self) -> None:
        for prompt, ids in self._workers.taken.items():
            if len(ids) > 1:
                self.problems.append(f"the endpoint had {len(ids)} jobs of one: {prompt}")
        self.problems += [f"refused, and made: {prompt}" for prompt in self._refused if self._workers.taken[prompt]]
        left = {name: count for name, count in self._endpoint.get("health").json()["jobs"].items() if count}
        if left.keys() & {"inQueue", "inProgress"}:
            self.problems.append(f"the endpoint has jobs that nobody waits for: {left}")

    def _look_at_what_is_left(self) -> None:
        self._compare("file", self._wanted_files(), self._files())
        self._compare("object", self._wanted_objects(), set(self._store.keys()))
        for line in (self._folder / "gateway.log").read_text().splitlines():
            if "Traceback" in line or "cannot look after" in line:
                self.problems.append(f"in the gateway's log: {line}")

    def _wanted_files(self) -> set[str]:
        return {row["file"] for row in self._rows("state = 'completed' AND file IS NOT NULL")}

    def _files(self) -> set[str]:
        return {path.name for path in (self._folder / "gateway" / "gateway").iterdir()}

    def _wanted_objects(self) -> set[str]:
        in_bucket = self._rows("state = 'completed' AND file IS NULL")
        return {f"{row['id']}/{file}" for row in in_bucket for file in DELIVERED}

    def _compare(self, kind: str, wanted: set[str], there: set[str]) -> None:
        self.problems += [f"{kind} of nobody: {name}" for name in there - wanted]
        self.problems += [f"{kind} that is missing: {name}" for name in wanted - there]

    def _rows(self, condition: str) -> list[dict[str, Any]]:
        with sqlite3.connect(self._folder / "gateway" / "gateway.db") as connection:
            connection.row_factory = sqlite3.Row
            fields = "id, api, state, to_cancel, deleted, endpoint_id, file, request"
            return [dict(row) for row in connection.execute(f"SELECT {fields} FROM gateway_jobs WHERE {condition}")]


def _base(url: str) -> str:
    """The URL without its path."""
    return urlsplit(url)._replace(path="").geturl()


def main(
    jobs: Annotated[int, typer.Option(min=1, help="how many are asked for")] = 200,
    seed: Annotated[int | None, typer.Option(help="of the faults; drawn, and printed, if absent")] = None,
) -> None:
    """Prints what was done, what became of the jobs, and every problem. Exits with 1 if there is one."""
    conduct(Campaign, jobs, seed)


if __name__ == "__main__":
    typer.run(main)

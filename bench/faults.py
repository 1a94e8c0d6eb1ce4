"""Breaks a running endpoint at random instants and looks at what is left: `python -m bench.faults --jobs 200 --seed 1`.

The endpoint and two workers as `videoworker serve` runs them, small checkpoints, and a bucket behind a proxy. While
jobs come in, with sound and without, workers and the endpoint are killed, told to end or stopped for a while, workers
hang, the bucket fails, disk and memory run out, the database is locked, jobs are cancelled or have no time left,
pictures take minutes to decode, sockets are left half-open, and results of nobody arrive. Some of it happens while a
sound is made, at any moment from its picture's last frame to the upload. Last the endpoint is told to end while each
worker has a job and another waits.

At the end every job that was accepted must have one final state that never changed. Every COMPLETED one must have its
video in the bucket, with the sha256 of its answer. No temporary file, no process and no open socket may be left. The
log of the endpoint and its workers goes to stderr.
"""

import base64
import collections
import hashlib
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import psutil
import requests
import typer

from bench.campaigns import conduct
from bench.hostile_pictures import jpeg_of_many_scans
from bench.servers.attacks import HALF_HEADS, connect, wait_for_close
from bench.servers.endpoint import AS_WORKER, FINAL, EndpointProcess, eventually
from bench.servers.fault_proxy import Fault, FaultProxy
from bench.servers.processes import VIDEOWORKER
from bench.servers.store import ACCESS_KEY, SECRET, new_bucket, swift
from builder import tiny
from builder.declared import FIRST_OF_FAMILY, SHIPPED
from builder.tiny import foley
from videoworker.models.foley import FOLEY_XL

WORKERS = 2
AT_ONCE = 8  # jobs that are not final
PATIENCE = 300.0  # seconds without any job becoming final, after which the rest is said to hang
HEARTBEAT_SECONDS = 3
HANG_SECONDS = 8
LIMIT_SECONDS = 5.0  # of a job whose time runs out
FEW_BYTES = 4096  # what a file may have while the disk is full
LITTLE_MEMORY = 1 << 20  # bytes that a worker gets while memory is full
MODEL, SOUND_MODEL = SHIPPED[0], FOLEY_XL
IMAGE_MODEL = next(model for model in FIRST_OF_FAMILY.values() if model.takes_image)

# Out of 100 jobs, how many meet which fault; of few jobs one at least.
SCHEDULE = {
    "worker killed": 2,
    "worker killed in a sound": 2,
    "worker told to end": 3,
    "worker stopped for a while": 3,
    "worker hangs": 3,
    "endpoint killed": 3,
    "bucket answers 503": 4,
    "bucket breaks off": 4,
    "disk full": 3,
    "disk full in a sound": 2,
    "memory full": 3,
    "memory full in a sound": 3,
    "database locked": 4,
    "job cancelled": 9,
    "job cancelled in a sound": 3,
    "time runs out in a sound": 3,
    "hostile picture": 3,
    "result of nobody": 6,
    "sockets left half-open": 3,
}
BAD_INPUTS: tuple[dict[str, Any], ...] = (
    {"image": "data:image/png;base64,bm90IGEgcGljdHVyZQ=="},
    {"num_frames": "many"},
    {"prompt": ""},
    {"widht": 64},
)
BAD_SHARE = 0.1

SOUND_SHARE = 0.3
SOUND_SECONDS = 0.8  # about how long those take that faults wait for


class Campaign:
    """One run. `problems` are what must not be."""

    def __init__(self, folder: Path, rng: random.Random, stack: ExitStack) -> None:
        self._folder, self._rng = folder, rng
        self._temporary, self._made = folder / "temporary", folder / "made"
        for new in (self._temporary, folder / "swift"):
            new.mkdir()
        for model in (MODEL, IMAGE_MODEL):
            tiny.save(model, folder / "weights" / model.checkpoint.folder)
        foley.save(folder / "weights" / SOUND_MODEL.checkpoint.folder, SOUND_MODEL.variant)
        self._store = new_bucket(stack.enter_context(swift(folder / "swift")))
        self._bucket = stack.enter_context(FaultProxy(self._store.port))
        settings = {
            "DATABASE_URL": f"sqlite:///{folder}/jobs.db",
            "HEARTBEAT_TIMEOUT_SECONDS": str(HEARTBEAT_SECONDS),
            "HANG_TIMEOUT_SECONDS": str(HANG_SECONDS),
            "JOB_TIMEOUT_SECONDS": "60",
            "WEIGHTS_DIR": str(folder / "weights"),
            "OUTPUT_DIR": str(self._made),
            "TMPDIR": str(self._temporary),
            "OMP_NUM_THREADS": "1",  # of tensors so small that threads only wait for each other
            "BUCKET_ENDPOINT_URL": self._bucket.url,
            "BUCKET_ACCESS_KEY_ID": ACCESS_KEY,
            "BUCKET_SECRET_ACCESS_KEY": SECRET,
            "BUCKET_NAME": self._store.name,
        }
        command = [*VIDEOWORKER, "serve", "--workers", str(WORKERS)]
        self._endpoint = stack.enter_context(EndpointProcess(folder, command, **settings))
        self._hostile_picture = base64.b64encode(jpeg_of_many_scans()).decode()
        self._timers: list[threading.Timer] = []
        self._half_open: list[socket.socket] = []
        self._bad = set[str]()
        self.final: dict[str, dict[str, Any]] = {}
        self.waiting: list[str] = []
        self.faults = collections.Counter[str]()
        self.problems: list[str] = []

    def run(self, jobs: int) -> None:
        due = collections.defaultdict[int, list[str]](list)
        for name, often in SCHEDULE.items():
            for _ in range(max(1, round(often * jobs / 100))):
                due[self._rng.randrange(jobs)].append(name)
        for number in range(jobs):
            self._wait(AT_ONCE - 1)
            self._submit(number)
            for name in due[number]:
                time.sleep(self._rng.uniform(0, 0.5))
                self._fault(name)
        self._wait(0)
        self._end_with_work()
        self._look_at_what_is_left()

    def _job(self) -> dict[str, Any]:
        """The input of one, with sound or without."""
        job = {
            "model": MODEL.name,
            "prompt": "A red circle moves to the right over a blue background",
            "width": 64,
            "height": 64,
            "num_frames": self._rng.randrange(1, 10),
            "num_inference_steps": self._rng.randrange(1, 11),
        }
        if self._rng.random() < SOUND_SHARE:
            job["audio"] = {"prompt": "a bell", "num_inference_steps": self._rng.randrange(1, 11)}
        return job

    def _submit(self, number: int) -> None:
        is_bad = self._rng.random() < BAD_SHARE
        job = self._job() | {"seed": number} | (self._rng.choice(BAD_INPUTS) if is_bad else {})
        job_id = self._endpoint.run(job)
        self.waiting.append(job_id)
        if is_bad:
            self._bad.add(job_id)

    def _submit_long_sound(self, **policy: int) -> str:
        """A job whose sound takes about as long as its picture. Returns its id."""
        audio = {"prompt": "a bell", "num_inference_steps": 10}
        job = self._job() | {"num_frames": 5, "fps": 1, "num_inference_steps": 1, "audio": audio}
        job_id = self._endpoint.run(job, policy=policy)
        self.waiting.append(job_id)
        return job_id

    def _worker_in_a_sound(self, **policy: int) -> tuple[psutil.Process, str]:
        """A worker at some moment after its picture's last frame, and the job that it has."""
        while True:
            job_id = self._submit_long_sound(**policy)
            while (state := self._endpoint.status(job_id))["status"] not in FINAL:  # another fault may end it
                for worker in self._workers():
                    if self._has_a_picture(worker) and worker.environ()["RUNPOD_POD_ID"] == state.get("workerId"):
                        time.sleep(self._rng.uniform(0, SOUND_SECONDS))
                        return worker, job_id
                time.sleep(0.01)

    def _has_a_picture(self, worker: psutil.Process) -> bool:
        """Whether a finished picture lies in the worker's unfinished folder, on which it holds a lock."""
        with suppress(psutil.NoSuchProcess, OSError):
            held = [os.readlink(link) for link in Path(f"/proc/{worker.pid}/fd").iterdir()]
            return any((folder / "video.mp4").exists() for folder in self._temporary.iterdir() if str(folder) in held)
        return False

    def _submit_hostile_picture(self) -> None:
        """It would take minutes to decode. The job's time is over long before, which must free the worker."""
        job = {"model": IMAGE_MODEL.name, "prompt": "A cat", "image": self._hostile_picture}
        job_id = self._endpoint.run(job, policy={"executionTimeout": 5_000})
        self.waiting.append(job_id)
        self._bad.add(job_id)

    def _wait(self, most: int) -> None:
        """Returns once at most so many jobs are not final."""
        moved = time.monotonic()
        while len(self.waiting) > most:
            for job_id in list(self.waiting):
                state = self._endpoint.status(job_id)
                if state["status"] in FINAL:
                    self.waiting.remove(job_id)
                    self.final[job_id] = state
                    moved = time.monotonic()
            if time.monotonic() - moved > PATIENCE:
                self.problems += [f"{job_id} hangs: {self._endpoint.status(job_id)}" for job_id in self.waiting]
                self.waiting.clear()  # no other job waits for these
                return
            time.sleep(0.05)

    def _fault(self, name: str) -> None:
        acts: dict[str, Callable[[], object]] = {
            "worker killed": lambda: self._signal_worker(signal.SIGKILL),
            "worker killed in a sound": lambda: self._worker_in_a_sound()[0].kill(),
            "worker told to end": lambda: self._signal_worker(signal.SIGTERM),
            "worker stopped for a while": self._stop_worker,
            "worker hangs": self._hang_worker,
            "endpoint killed": self._kill_endpoint,
            "bucket answers 503": lambda: self._fail_bucket(Fault(status=503)),
            "bucket breaks off": lambda: self._fail_bucket(Fault(cut_after=self._rng.randrange(3000))),
            "disk full": lambda: self._fill_disk(self._some_worker()),
            "disk full in a sound": lambda: self._fill_disk(self._worker_in_a_sound()[0]),
            "memory full": lambda: self._fill_memory(self._some_worker()),
            "memory full in a sound": lambda: self._fill_memory(self._worker_in_a_sound()[0]),
            "database locked": self._lock_database,
            "job cancelled": self._cancel,
            "job cancelled in a sound": lambda: self._cancel(self._worker_in_a_sound()[1]),
            "time runs out in a sound": self._let_time_pass,
            "hostile picture": self._submit_hostile_picture,
            "result of nobody": self._result_of_nobody,
            "sockets left half-open": self._leave_sockets,
        }
        with suppress(psutil.NoSuchProcess):
            acts[name]()
        self.faults[name] += 1

    def _workers(self) -> list[psutil.Process]:
        """The workers' own processes, without their heartbeats."""
        assert self._endpoint.process is not None
        found = []
        for child in psutil.Process(self._endpoint.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                if "handler.py" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def _some_worker(self) -> psutil.Process | None:
        """None if all are being replaced."""
        workers = self._workers()
        return self._rng.choice(workers) if workers else None

    def _signal_worker(self, number: int) -> None:
        if worker := self._some_worker():
            worker.send_signal(number)

    def _stop_worker(self) -> None:
        """With its heartbeat, for longer than the endpoint waits for one: its job goes to another, and if it ever
        wakes up it must not deliver as well."""
        if worker := self._some_worker():
            group = os.getpgid(worker.pid)
            os.killpg(group, signal.SIGSTOP)
            self._later(HEARTBEAT_SECONDS + 2, lambda: os.killpg(group, signal.SIGCONT))

    def _hang_worker(self) -> None:
        """For ever, while its heartbeat goes on. If it has a job, that is cancelled, so the hang is noticed sooner."""
        if worker := self._some_worker():
            worker.suspend()
            worker_id = worker.environ()["RUNPOD_POD_ID"]
            for job_id in self.waiting:
                if self._endpoint.status(job_id).get("workerId") == worker_id:
                    self._endpoint.post(f"cancel/{job_id}").raise_for_status()

    def _lock_database(self) -> None:
        """As a disk that takes seconds to write, or another program that has the file open."""
        connection = sqlite3.connect(self._folder / "jobs.db", isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        self._later(self._rng.uniform(1, 4), connection.close)

    def _kill_endpoint(self) -> None:
        self._endpoint.kill()
        self._endpoint.start()

    def _fail_bucket(self, fault: Fault) -> None:
        self._bucket.fail_always(fault)
        self._later(self._rng.uniform(0.5, 3), lambda: self._bucket.fail_always(None))

    def _fill_disk(self, worker: psutil.Process | None) -> None:
        """Whatever the worker writes is cut off, as on a full disk, though with another error number."""
        self._limit(worker, psutil.RLIMIT_FSIZE, lambda _: FEW_BYTES)

    def _fill_memory(self, worker: psutil.Process | None) -> None:
        """The worker gets no more memory than it has, and a little."""
        self._limit(worker, psutil.RLIMIT_DATA, lambda process: process.memory_info().data + LITTLE_MEMORY)

    def _limit(self, worker: psutil.Process | None, resource: int, limit: Callable[[psutil.Process], int]) -> None:
        """For a while."""
        if worker:
            _, most = worker.rlimit(resource)
            worker.rlimit(resource, (limit(worker), most))
            self._later(self._rng.uniform(0.5, 2), lambda: worker.rlimit(resource, (most, most)))

    def _cancel(self, job_id: str | None = None) -> None:
        """This one or any."""
        if job_id or self.waiting:
            self._endpoint.post(f"cancel/{job_id or self._rng.choice(self.waiting)}").raise_for_status()

    def _let_time_pass(self) -> None:
        """The worker stands still until the job's time is over. Its heartbeat goes on."""
        worker, _ = self._worker_in_a_sound(executionTimeout=round(1000 * LIMIT_SECONDS))
        worker.suspend()
        self._later(LIMIT_SECONDS, worker.resume)

    def _result_of_nobody(self) -> None:
        """As of a worker that lost the job long ago."""
        job_id = self._rng.choice([*self.waiting, *self.final])
        done = f"job-done/worker-gone/{job_id}?isStream=false"
        self._endpoint.post(done, {"output": "not a video"}, headers=AS_WORKER).raise_for_status()

    def _leave_sockets(self) -> None:
        self._half_open += [connect(self._endpoint.url, sent) for sent in HALF_HEADS.values()]

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        def run() -> None:
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                act()

        timer = threading.Timer(seconds, run)
        timer.start()
        self._timers.append(timer)

    def _end_with_work(self) -> None:
        """The endpoint is told to end while each worker makes a sound and one more job waits. It lets them finish, and
        keeps the other."""
        for timer in self._timers:
            timer.join()
        self._workers_are_back()
        job_ids = [self._submit_long_sound() for _ in range(WORKERS + 1)]
        eventually(lambda: self._are_taken(WORKERS))
        code = self._endpoint.kill(signal.SIGTERM)
        if code != 0:
            self.problems.append(f"the endpoint, told to end, ended with {code}")
        self._endpoint.start("--workers", "0")
        for job_id in job_ids:
            if (state := self._endpoint.status(job_id))["status"] == "IN_QUEUE":
                self._cancel(job_id)
            elif state["status"] != "COMPLETED":
                self.problems.append(f"the endpoint ended before {job_id}: {state}")
        self.faults["endpoint told to end"] += 1
        self._wait(0)

    def _are_taken(self, count: int) -> None:
        assert self._endpoint.get("health").json()["jobs"]["inProgress"] >= count

    def _look_at_what_is_left(self) -> None:
        open_still = wait_for_close(self._half_open, PATIENCE)
        self.problems += [f"never closed: {sock}" for sock in open_still]
        for sock in self._half_open:
            sock.close()
        for job_id, before in self.final.items():
            self._look_at_job(job_id, before, self._endpoint.status(job_id))
        code = self._endpoint.kill(signal.SIGTERM)
        if code != 0:
            self.problems.append(f"the endpoint ended with {code}")
        left = [*self._temporary.iterdir(), *self._made.rglob(".*")]
        self.problems += [f"left: {path.relative_to(self._folder)}" for path in left]
        ours = (process for process in psutil.process_iter() if self._is_ours(process))
        self.problems += [f"process left: {process}" for process in ours]

    def _workers_are_back(self) -> None:
        started = time.monotonic()
        while (workers := self._endpoint.get("health").json()["workers"])["idle"] != WORKERS:
            if time.monotonic() - started > PATIENCE:
                self.problems.append(f"workers are not back: {workers}")
                return
            time.sleep(0.2)

    def _look_at_job(self, job_id: str, before: dict[str, Any], now: dict[str, Any]) -> None:
        if now != before:
            self.problems.append(f"{job_id} changed after it was final: from {before} to {now}")
        told = json.dumps(now)
        if "Traceback" in told or str(self._folder) in told or SECRET in told:
            self.problems.append(f"{job_id} tells too much: {told}")
        if now["status"] == "COMPLETED":
            if job_id in self._bad:
                self.problems.append(f"{job_id} is COMPLETED with a wrong input")
            answer = requests.get(now["output"]["video_url"], timeout=60)
            if hashlib.sha256(answer.content).hexdigest() != now["output"]["video"]["sha256"]:
                self.problems.append(f"{job_id} is COMPLETED but its URL gives {answer.status_code}, another file")

    @property
    def ends(self) -> collections.Counter[str]:
        return collections.Counter(map(_state, self.final.values()))

    def _is_ours(self, process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            return process.environ().get("TMPDIR") == str(self._temporary)
        return False


def main(
    jobs: Annotated[int, typer.Option(min=1, help="how many are accepted")] = 200,
    seed: Annotated[int | None, typer.Option(help="of the faults; drawn, and printed, if absent")] = None,
) -> None:
    """Prints what was done, what became of the jobs, and every problem. Exits with 1 if there is one."""
    conduct(Campaign, jobs, seed)


def _state(state: dict[str, Any]) -> str:
    """A failed job's with its error's code."""
    if state["status"] != "FAILED":
        return str(state["status"])
    try:
        return f"FAILED {json.loads(state['error'])['code']}"
    except (ValueError, KeyError, TypeError):
        return f"FAILED {state['error']}"


if __name__ == "__main__":
    typer.run(main)

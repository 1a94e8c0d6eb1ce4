"""The callers' side of the job API, over HTTP."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.servers.worker import Worker
from tests.databases import on_sqlite
from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import EndpointHere


@pytest.fixture
def worker(endpoint: EndpointHere) -> Worker:
    return Worker(endpoint, "w1")


def test_run(endpoint: EndpointHere, worker: Worker) -> None:
    policy = {"executionTimeout": 60_000}
    job_id = endpoint.run({"prompt": "p"}, policy=policy, s3Config={"bucketName": "b"}, unknown=1)
    assert endpoint.status(job_id) == {"id": job_id, "status": "IN_QUEUE"}
    endpoint.advance(3)
    taken = worker.take()
    running = endpoint.status(job_id)
    assert running["status"] == "IN_PROGRESS" and running["workerId"] == "w1" and running["delayTime"] >= 3000
    given = {"input": {"prompt": "p"}, "policy": policy, "s3Config": {"bucketName": "b"}}
    assert taken == {"id": job_id, "delayTime": running["delayTime"]} | given
    endpoint.advance(2)
    assert worker.done(job_id, {"output": {"url": "x"}}) == 200
    state = endpoint.status(job_id)
    assert (state["status"], state["output"], "error" in state) == ("COMPLETED", {"url": "x"}, False)
    assert state["executionTime"] >= 2000


def test_order(endpoint: EndpointHere, worker: Worker) -> None:
    """Jobs are handed out in the order of their arrival."""
    job_ids = [endpoint.run(number) for number in range(1, 8)]
    first = worker.take()
    batch = Worker(endpoint, "w2").take_batch(4)
    rest = Worker(endpoint, "w3").take_batch(100)
    assert [job["id"] for job in (first, *batch, *rest)] == job_ids
    assert [len(batch), len(rest)] == [4, 2]


def test_waiting_polls(endpoint: EndpointHere) -> None:
    """A request for a job that waits gets the job that comes."""
    with ThreadPoolExecutor() as pool:
        polls = [pool.submit(Worker(endpoint, f"w{number}").take) for number in range(3)]
        job_ids = {endpoint.run(number) for number in range(1, 4)}
        assert {poll.result()["id"] for poll in polls} == job_ids


@pytest.mark.parametrize(
    "job_input",
    [{"text": "\u0000\ud800 é \U0001f600"}, [1, 2.5, None], "text", 10**400, {"deep": [[[[]]]]}, True],
    ids=["characters", "list", "string", "large", "deep", "bool"],
)
def test_any_json(endpoint: EndpointHere, worker: Worker, job_input: Any) -> None:
    """A job's input and output come through unchanged."""
    job_id = endpoint.run(job_input)
    assert worker.take()["input"] == job_input
    assert worker.done(job_id, {"output": job_input}) == 200
    assert endpoint.status(job_id)["output"] == job_input


def test_progress(endpoint: EndpointHere, worker: Worker) -> None:
    """Progress is the output of a job that is in progress, and of no other."""
    job_id = endpoint.run({"a": 1})
    worker.take()
    for step in range(3):
        assert worker.progress(job_id, {"step": step}) == 200
        assert endpoint.status(job_id)["output"] == {"step": step}
    worker.done(job_id, {"output": "made"})
    assert worker.progress(job_id, {"step": 3}) == 200
    state = endpoint.status(job_id)
    assert (state["status"], state["output"]) == ("COMPLETED", "made")


def test_error(endpoint: EndpointHere, worker: Worker) -> None:
    """The job fails. Whatever JSON the worker sent is kept."""
    for error in ("text", {"code": "OOM"}, ["a"]):
        job_id = endpoint.run({"a": 1})
        worker.take()
        worker.done(job_id, {"output": {"details": 1}, "error": error})
        state = endpoint.status(job_id)
        assert (state["status"], state["error"], state["output"]) == ("FAILED", error, {"details": 1})


@pytest.mark.parametrize("text", ['{"output": NaN}', "no json", "[]", json.dumps({"output": "x" * 20_000_000})])
def test_unusable_result(endpoint: EndpointHere, worker: Worker, text: str) -> None:
    """The job fails, and its error says why."""
    job_id = endpoint.run({"a": 1})
    worker.take()
    assert worker.done(job_id, None, text) == 200
    state = endpoint.status(job_id)
    assert state["status"] == "FAILED" and "The worker's result" in state["error"]


def test_cancel_waiting(endpoint: EndpointHere, worker: Worker) -> None:
    """The job is never handed out."""
    cancelled, following = endpoint.run(1), endpoint.run(2)
    assert endpoint.post(f"cancel/{cancelled}").json() == {"id": cancelled, "status": "CANCELLED"}
    assert worker.take()["id"] == following


def test_cancel_running(endpoint: EndpointHere, worker: Worker) -> None:
    """The worker is told to stop, and its result is discarded."""
    job_id = endpoint.run(1)
    worker.take()
    assert endpoint.post(f"cancel/{job_id}").json()["status"] == "CANCELLED"
    assert worker.stops() == [job_id]
    worker.ping(job_id)  # the signal may have been lost on its way: a heartbeat that still names the job renews it
    assert worker.stops() == [job_id]
    assert worker.done(job_id, {"output": 1}) == 200
    state = endpoint.status(job_id)
    assert state["status"] == "CANCELLED" and "output" not in state


def test_cancel_final(endpoint: EndpointHere, worker: Worker) -> None:
    job_id = endpoint.run(1)
    worker.take()
    worker.done(job_id, {"output": 1})
    assert endpoint.post(f"cancel/{job_id}").json()["status"] == "COMPLETED"
    assert endpoint.status(job_id)["output"] == 1


def test_retry(endpoint: EndpointHere, worker: Worker) -> None:
    """A failed job is queued again under its id, at the queue's end."""
    job_id = endpoint.run({"a": 1}, s3Config={"b": 2})
    first = worker.take()
    worker.done(job_id, {"error": "bad"})
    before = endpoint.run(2)
    assert endpoint.post(f"retry/{job_id}").json() == {"id": job_id, "status": "IN_QUEUE"}
    assert worker.take()["id"] == before
    again = Worker(endpoint, "w2").take()
    assert again == first | {"delayTime": again["delayTime"]}
    assert Worker(endpoint, "w2").done(job_id, {"output": 3}) == 200
    state = endpoint.status(job_id)
    assert (state["output"], "error" in state) == (3, False)
    refused = endpoint.post(f"retry/{job_id}")
    assert refused.status_code == 400 and "COMPLETED" in refused.json()["error"]


def test_purge(endpoint: EndpointHere, worker: Worker) -> None:
    """Jobs that wait are removed, those that run are not."""
    running, *waiting = [endpoint.run(number) for number in range(1, 5)]
    worker.take()
    assert endpoint.post("purge-queue").json() == {"removed": 3, "status": "completed"}
    assert {endpoint.get(f"status/{job_id}").status_code for job_id in waiting} == {404}
    assert worker.done(running, {"output": 1}) == 200


def test_health(endpoint: EndpointHere, worker: Worker) -> None:
    job_ids = [endpoint.run(number) for number in range(1, 7)]
    for body in ({"output": 1}, {"error": "bad"}, {"error": "bad"}):
        worker.done(worker.take()["id"], body)
    endpoint.post(f"retry/{job_ids[1]}")
    endpoint.post(f"cancel/{job_ids[5]}")
    worker.take()
    Worker(endpoint, "w2").ping()  # which has not asked for a job
    health = endpoint.get("health").json()
    assert health["jobs"] == {"completed": 1, "failed": 1, "inProgress": 1, "inQueue": 2, "retried": 1}
    assert {name: health["workers"][name] for name in ("idle", "running", "ready")} == {
        "idle": 0,
        "running": 1,
        "ready": 1,
    }


def test_stream(endpoint: EndpointHere, worker: Worker) -> None:
    """Each chunk is given once, in order."""
    job_id = endpoint.run(1)
    worker.take()
    for number in range(3):
        assert worker.chunk(job_id, {"n": number}) == 200
    given = endpoint.get(f"stream/{job_id}").json()
    assert given == {"status": "IN_PROGRESS", "stream": [{"output": {"n": number}} for number in range(3)]}
    worker.chunk(job_id, "last")
    worker.done(job_id, {"output": []})
    assert worker.chunk(job_id, "too late") == 200
    assert endpoint.get(f"stream/{job_id}").json() == {"status": "COMPLETED", "stream": [{"output": "last"}]}
    assert endpoint.get(f"stream/{job_id}").json() == {"status": "COMPLETED", "stream": []}


def test_runsync(endpoint: EndpointHere, worker: Worker) -> None:
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(endpoint.post, "runsync", {"input": {"a": 1}})
        job_id = worker.take()["id"]
        assert job_id.startswith("sync-")
        worker.done(job_id, {"output": 5})
        state = answer.result().json()
    assert (state["id"], state["status"], state["output"]) == (job_id, "COMPLETED", 5)


@on_sqlite
def test_runsync_timeout(endpoint: EndpointHere) -> None:
    """The answer is the job as it is, so the caller has its id."""
    state = endpoint.post("runsync?wait=1000", {"input": 1}).json()
    assert state["status"] == "IN_QUEUE" and endpoint.status(state["id"]) == state


@on_sqlite
def test_null_is_absent(endpoint: EndpointHere, worker: Worker) -> None:
    policy = {"executionTimeout": None, "ttl": None, "lowPriority": None}
    bodies: list[dict[str, Any]] = [{"policy": None, "webhook": None, "s3Config": None}, {"policy": policy}]
    for body in bodies:
        job_id = endpoint.run(1, **body)
        worker.take()
        worker.done(job_id, {"output": 1})
        assert endpoint.status(job_id)["status"] == "COMPLETED"


@on_sqlite
def test_state_when_the_wait_ends(endpoint: EndpointHere, worker: Worker) -> None:
    """It is the one at that time, not the one when the wait began."""
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(endpoint.post, "runsync?wait=1000", {"input": 1})
        worker.progress(worker.take()["id"], {"step": 1})
        state = answer.result().json()
    assert (state["status"], state["output"], state["workerId"]) == ("IN_PROGRESS", {"step": 1}, "w1")


@on_sqlite
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "input"),
        ([], "input"),
        ({"input": None}, "input"),
        ({"input": 1, "policy": {"executionTimeout": 4999}}, "policy.executionTimeout"),
        ({"input": 1, "policy": {"executionTimeout": "600000"}}, "policy.executionTimeout"),
        ({"input": 1, "policy": {"executionTimeout": 6000.5}}, "policy.executionTimeout"),
        ({"input": 1, "policy": {"lowPriority": 1}}, "policy.lowPriority"),
        ({"input": 1, "policy": {"ttl": 9999}}, "policy.ttl"),
        ({"input": 1, "policy": {"ttl": 604_800_001}}, "policy.ttl"),
        ({"input": 1, "policy": 5}, "policy"),
        ({"input": 1, "webhook": "file:///etc/passwd"}, "webhook"),
        ({"input": 1, "webhook": ""}, "webhook"),
        ({"input": 1, "s3Config": "x"}, "s3Config"),
    ],
)
def test_wrong_body(endpoint: EndpointHere, body: Any, told: str) -> None:
    """It is refused by the name of the field."""
    answer = endpoint.post("run", body)
    assert answer.status_code == 400 and told in answer.json()["error"]
    assert endpoint.get("health").json()["jobs"]["inQueue"] == 0


@on_sqlite
def test_not_json(endpoint: EndpointHere) -> None:
    answer = endpoint.post("run", data=b'{"input": NaN}')
    assert (answer.status_code, answer.json()) == (400, {"error": "The body is not JSON."})


@on_sqlite
def test_payload_limits(endpoint: EndpointHere) -> None:
    over_ten, over_twenty = {"input": "x" * 10_000_000}, {"input": "x" * 20_000_000}
    assert endpoint.post("run", over_ten).status_code == 413
    assert endpoint.post("runsync?wait=1000", over_ten).status_code == 200
    assert endpoint.post("runsync?wait=1000", over_twenty).status_code == 413


@pytest.mark.parametrize(
    ("path", "code"),
    [("status/none", 404), ("stream/none", 404), ("status/%00", 400), ("status/" + "x" * 65, 400), ("nothing", 404)],
)
def test_not_found(endpoint: EndpointHere, path: str, code: int) -> None:
    """It is an error in JSON."""
    answer = endpoint.get(path)
    assert answer.status_code == code and answer.json()["error"]
    for operation in ("cancel", "retry"):
        assert endpoint.post(f"{operation}/none").status_code == 404


@on_sqlite
def test_other_endpoint_id(endpoint: EndpointHere) -> None:
    assert endpoint.post("../other/run", {"input": 1}).status_code == 404


@on_sqlite
def test_keys(start: Start) -> None:
    """With API keys, callers need one. Workers need their token."""
    endpoint = start(api_keys="first, second")
    for given, code in [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer second"}, 200)]:
        assert endpoint.post("run", {"input": 1}, headers=given).status_code == code
        assert endpoint.get("health", headers=given).status_code == code
    assert endpoint.get("health", headers={"Authorization": "first"}).status_code == 200
    assert Worker(endpoint, "w1").take()["input"] == 1
    assert endpoint.get("job-take/w2").status_code == 401
    assert endpoint.get("job-take/w2", headers={"Authorization": "old"}).status_code == 401


@on_sqlite
def test_browser_without_keys(endpoint: EndpointHere) -> None:
    """Without API keys, a page in a browser cannot call."""
    assert endpoint.post("purge-queue", headers={"Origin": "https://example.org"}).status_code == 403
    assert endpoint.post("purge-queue", headers={"Host": "example.org"}).status_code == 403


@on_sqlite
def test_files(start: Start, tmp_path: Path) -> None:
    """Files are served, with ranges. Nothing beside them is."""
    endpoint = start()
    folder = tmp_path / "files" / "job-1"
    folder.mkdir(parents=True)
    (folder / "video.mp4").write_bytes(b"0123456789")
    (tmp_path / "secret").write_text("secret")
    endpoint.url = endpoint.url.removesuffix("/v2/local")
    whole = endpoint.get("files/job-1/video.mp4")
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, b"0123456789", "video/mp4")
    part = endpoint.get("files/job-1/video.mp4", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    for path in ("files/%2e%2e/secret", "files/job-1/..%2f..%2f..%2fsecret", "files/job-1/", "files/"):
        assert endpoint.get(path).status_code == 404


def test_idempotency_key(endpoint: EndpointHere) -> None:
    """Requests with the same key are one job, also after a worker has taken it. Other keys, and none, are others."""

    def run(**headers: str) -> str:
        job_id: str = endpoint.post("run", {"input": 1}, headers=headers).json()["id"]
        return job_id

    first = run(**{"Idempotency-Key": "a key"})
    Worker(endpoint, "w1").take()
    assert run(**{"Idempotency-Key": "a key"}) == first
    assert len({first, run(**{"Idempotency-Key": "another"}), run(), run()}) == 4
    jobs = endpoint.get("health").json()["jobs"]
    assert (jobs["inQueue"], jobs["inProgress"]) == (3, 1)

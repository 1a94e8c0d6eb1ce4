"""Who may do what: callers, workers, and pages in a browser."""

import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.servers.endpoint import AS_WORKER, PATIENCE, TOKEN
from bench.servers.worker import Worker
from tests.databases import on_sqlite
from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import EndpointHere
from videoworker.endpoint import video_links, worker_routes

pytestmark = on_sqlite

OF_WORKERS = [
    ("GET", "job-take/w1"),
    ("GET", "job-take-batch/w1?batch_size=1000"),
    ("GET", "job-stop/w1"),
    ("POST", "job-done/w1/{job}?isStream=false"),
    ("POST", "job-stream/w1/{job}?isStream=false"),
    ("GET", "ping/w1?job_id={job}"),
]
OF_CALLERS = [
    ("POST", "run"),
    ("POST", "runsync?wait=1000"),
    ("GET", "status/{job}"),
    ("GET", "stream/{job}"),
    ("POST", "cancel/{job}"),
    ("POST", "retry/{job}"),
    ("POST", "purge-queue"),
    ("GET", "health"),
    ("GET", "../../files/{job}/video.mp4"),
    ("GET", "../../docs"),
    ("GET", "../../openapi.json"),
    ("GET", "../../nothing"),
]


def test_no_route_is_left_out(endpoint: EndpointHere) -> None:
    """Each of the workers' routes is in the list above, and is known to the check of callers."""
    served = {route.path.split("/")[1] for route in worker_routes.routes(endpoint.queue).routes}  # type: ignore[attr-defined]
    assert served == set(worker_routes.OPERATIONS) == {path.split("/")[0] for _, path in OF_WORKERS}


def call(endpoint: EndpointHere, method: str, path: str, headers: dict[str, str]) -> int:
    """The status of the answer."""
    make = endpoint.get if method == "GET" else endpoint.post
    return make(path, headers=headers, data=b"{}" if method == "POST" else None).status_code


def running(endpoint: EndpointHere) -> str:
    """A job that the worker w1 runs."""
    job_id = endpoint.run(1)
    Worker(endpoint, "w1").take()
    return job_id


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer é"}])
@pytest.mark.parametrize(("method", "path"), OF_WORKERS)
def test_workers_routes(endpoint: EndpointHere, method: str, path: str, sent: dict[str, str]) -> None:
    """They need a worker's token, also if callers need no key."""
    job_id = running(endpoint)
    raw = {name: value.encode() for name, value in sent.items()}
    assert call(endpoint, method, path.format(job=job_id), raw) == 401  # type: ignore[arg-type]
    assert endpoint.status(job_id)["status"] == "IN_PROGRESS"


@pytest.mark.parametrize(("method", "path"), OF_WORKERS)
def test_api_key_is_no_token(start: Start, method: str, path: str) -> None:
    """A caller's key opens no worker's route."""
    endpoint = start(api_keys="key")
    assert call(endpoint, method, path.format(job="j"), {"Authorization": "Bearer key"}) == 401


@pytest.mark.parametrize(("method", "path"), OF_CALLERS)
def test_callers_need_a_key(start: Start, method: str, path: str) -> None:
    """Whatever is not a worker's route needs an API key, which a worker's token is not."""
    endpoint = start(api_keys="key")
    # the last one makes a worker's route of the path, if the host is taken for a part of the URL
    for sent in ({}, AS_WORKER, {"Host": "127.0.0.1/v2/local/ping/"}):
        assert call(endpoint, method, path.format(job="j"), sent) == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "anything"])
@pytest.mark.parametrize(("method", "path"), OF_CALLERS + OF_WORKERS)
def test_page_of_another_site(endpoint: EndpointHere, method: str, path: str, site: str) -> None:
    """It is refused on every route, also with a valid token."""
    job_id = running(endpoint)
    sent = AS_WORKER | {"Sec-Fetch-Site": site}
    assert call(endpoint, method, path.format(job=job_id), sent) == 403
    assert endpoint.status(job_id)["status"] == "IN_PROGRESS"


@pytest.mark.parametrize(("method", "path"), OF_CALLERS)
def test_name_of_another_site(endpoint: EndpointHere, method: str, path: str) -> None:
    """Without API keys, a name that leads to this machine opens nothing (DNS rebinding)."""
    job_id = running(endpoint)
    assert call(endpoint, method, path.format(job=job_id), {"Host": "example.org"}) == 403
    assert endpoint.status(job_id)["status"] == "IN_PROGRESS"


@pytest.mark.parametrize("host", ["[::1", "[", "127.0.0.1/v2/local/ping/"])
@pytest.mark.parametrize(("method", "path"), [("GET", "health"), ("GET", "../../files/j/video.mp4")])
def test_host_that_is_none(endpoint: EndpointHere, method: str, path: str, host: str) -> None:
    """It opens nothing, and is no fault of the endpoint's."""
    assert call(endpoint, method, path, {"Host": host, "Origin": "http://["}) == 403


def test_link_to_a_video(start: Start, tmp_path: Path) -> None:
    """With keys, it works for whoever has it, also in other sites' pages. A job's id alone is no link."""
    folder = tmp_path / "files" / "job-1"
    folder.mkdir(parents=True)
    (folder / "video.mp4").write_bytes(b"0123456789")
    endpoint = start(api_keys="key, other")
    links = video_links.path(("key", "other"))
    assert len(links) > 30 and links != video_links.path(("other", "key"))
    video = f"../..{links}/files/job-1/video.mp4"
    assert endpoint.get(video, headers={"Sec-Fetch-Site": "cross-site"}).content == b"0123456789"
    assert endpoint.get(video, headers={"Range": "bytes=2-4"}).content == b"234"
    for path in ("files/job-1/video.mp4", f"links/{'x' * 24}/files/job-1/video.mp4"):
        assert endpoint.get(f"../../{path}").status_code == 401
    for path in ("", "/files", "/files/", "/files/job-1", "/files/job-1/", "/files/..%2f..%2fjobs.db", "/docs"):
        assert endpoint.get(f"../..{links}{path}").status_code in (401, 404)


def test_own_page(endpoint: EndpointHere) -> None:
    for site in ("same-origin", "none"):
        assert call(endpoint, "GET", "health", {"Sec-Fetch-Site": site}) == 200


def test_log_opens_nothing(endpoint: EndpointHere, capfd: pytest.CaptureFixture[str]) -> None:
    """The SDK's worker logs the URLs that it calls. Its token is not among what it logs."""
    with endpoint.worker("sdk", RUNPOD_LOG_LEVEL="DEBUG"):
        assert endpoint.final(endpoint.run({"n": 1}))["status"] == "COMPLETED"
    printed = "".join(capfd.readouterr())
    assert "/job-take/sdk?" in printed and TOKEN not in printed


PAGE = """<!doctype html><title>another site</title><body>waiting<script>
const image = (url) => new Promise((resolve) => {
  const shown = new Image();
  shown.onload = shown.onerror = resolve;
  shown.src = url;
});
const calls = [
  fetch("%(url)s/stream/%(streamed)s", {mode: "no-cors"}),
  fetch("%(url)s/purge-queue", {mode: "no-cors", method: "POST"}),
  fetch("%(url)s/cancel/%(waiting)s", {mode: "no-cors", method: "POST", body: "x"}),
  fetch("%(url)s/job-take-batch/x?batch_size=1000", {mode: "no-cors"}),
];
Promise.allSettled([...calls, image("%(url)s/job-take-batch/y?batch_size=1000"), image("%(url)s/stream/%(streamed)s")])
  .then((all) => { document.body.textContent = "answers: " + all.filter((one) => one.status === "fulfilled").length; });
</script>"""


@contextmanager
def site(page: str) -> Iterator[int]:
    """The port of a site that has one page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.needs_chromium_headless_shell
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # the same site on another port, and another site
def test_real_browser(endpoint: EndpointHere, tmp_path: Path, host: str) -> None:
    """A page of another site takes no job, reads no chunk and cancels nothing."""
    streamed = running(endpoint)
    Worker(endpoint, "w1").chunk(streamed, "kept")
    waiting = endpoint.run(2)
    page = PAGE % {"url": endpoint.url, "streamed": streamed, "waiting": waiting}
    with site(page) as port:
        options = ["--no-sandbox", f"--user-data-dir={tmp_path}", "--virtual-time-budget=10000", "--dump-dom"]
        command = ["chromium-headless-shell", *options, f"http://{host}:{port}/"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert "answers: 6" in shown.stdout, shown
    assert endpoint.status(waiting) == {"id": waiting, "status": "IN_QUEUE"}
    assert endpoint.get(f"stream/{streamed}").json()["stream"] == [{"output": "kept"}]

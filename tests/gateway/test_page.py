"""The page in a real browser: make, watch, keep; on a desktop and on a phone, in light and dark."""

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import requests
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBearer
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from bench import page_picture
from bench.servers.apis import served
from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.worker import FakeWorker, asked
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere
from tests.handler_process import ROOT
from tests.media.pictures import flat
from tests.media.sounds import form as sound_format
from tests.media.sounds import tone
from tests.watches import watch_that
from videoworker.apis import APIS
from videoworker.errors import Code, JobError
from videoworker.gateway.apis import FORMS
from videoworker.gateway.apis.form import HttpForm, json_app
from videoworker.gateway.page.app import with_page
from videoworker.gateway.service import Service
from videoworker.media.file import VideoFile
from videoworker.media.sound_track import add_sound

pytestmark = [pytest.mark.needs_chromium_headless_shell, pytest.mark.needs_axe_core]

AXE = ROOT / "builder" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
PAGE = ROOT / "src" / "videoworker" / "gateway" / "page"
RED = (254, 0, 0)
PREVIEW = (  # one pixel
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
)
DESKTOP = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "is_mobile": True, "has_touch": True}
BIG_SEED = "9007199254740993"  # one that is no number of JavaScript's

Visit = Callable[..., Page]

SHOWN = """async video => {
    if (video.readyState < 2) await new Promise(done => video.onloadeddata = done);
    video.muted = true;
    await video.play();
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    return [...context.getImageData(20, 20, 1, 1).data].slice(0, 3);
}"""
DROPPED = """bytes => {
    const dropped = new DataTransfer();
    dropped.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
    return dropped;
}"""
LOUDNESS = """async video => {
    const bytes = await (await fetch(video.src)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes);
    return sound.getChannelData(0).reduce((most, one) => Math.max(most, Math.abs(one)), 0);
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        command = shutil.which("chromium-headless-shell")
        browser = playwright.chromium.launch(executable_path=command, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens a page. Nothing in it may fail or leave its site."""
    faults: list[str] = []
    contexts = []

    def forbidden(line: str) -> None:
        if "Content Security Policy" in line:
            faults.append(line)

    def outside(site: str, url: str) -> None:
        if not url.startswith((site, "data:", "blob:")):
            faults.append(url)

    def visit_one(url: str, **look: Any) -> Page:
        context = chromium.new_context(**(look or DESKTOP))
        context.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        contexts.append(context)
        page = context.new_page()
        site = "/".join(url.split("/")[:3])
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: forbidden(line.text))
        page.on("request", lambda request: outside(site, request.url))
        page.goto(url)
        return page

    yield visit_one
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def gateway(shared: Start) -> GatewayHere:
    return shared("hunyuanvideo")


@pytest.fixture(scope="module")
def red_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Half a second, with a tone."""
    path = tmp_path_factory.mktemp("red") / "video.mp4"
    format = sound_format("mp4", 12, 24)
    with VideoFile(path, format) as file:
        for _ in range(format.num_frames):
            file.write(flat(64, 48, RED))
        file.close()
    add_sound(path, "mp4", tone(0.5, 440), watch_that())
    return path.read_bytes()


def has_no_barrier(page: Page) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def fill(page: Page, **texts: str) -> None:
    for label, text in texts.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(text)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def headline(page: Page, words: str) -> None:
    expect(page.locator("#job h2")).to_have_text(words)


def test_make_watch_keep(gateway: GatewayHere, worker: FakeWorker, visit: Visit, red_video: bytes) -> None:
    worker.content = red_video
    page = visit(gateway.url)
    page.locator("summary").click()
    fill(page, Prompt="a red field", Seed=BIG_SEED, Width="256")
    expect(page.locator("#estimate")).to_contain_text("GiB")
    press(page, "Make the video")
    headline(page, "Next in the queue")
    address = page.url
    assert "?job=" in address

    job = worker.take()
    assert asked(job) == {"api": "hunyuanvideo", "prompt": "a red field", "seed": int(BIG_SEED), "width": 256}
    worker.tell(job, 0.31, PREVIEW)
    headline(page, "Denoising")
    expect(page.locator(".detail")).to_contain_text("step 5 of 10 · 31 % · about")
    expect(page.locator("progress")).to_have_js_property("value", 0.31)
    expect(page.locator("#said")).to_have_text("Denoising")
    expect(page).to_have_title("31 % Denoising – HunyuanVideo REST API")
    expect(page.get_by_alt_text("The picture as it emerges")).to_have_js_property("naturalWidth", 1)
    has_no_barrier(page)
    page.reload()
    headline(page, "Denoising")

    worker.finish(job)
    headline(page, "Finished")
    video = page.locator("#job video")
    red, green, blue = video.evaluate(SHOWN)
    assert red > 240 and max(green, blue) < 15
    assert video.evaluate(LOUDNESS) > 0.3
    expect(page.locator("dl")).to_contain_text("Seed7")
    expect(page.locator("dl")).to_contain_text("Modelsketch")
    has_no_barrier(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == red_video

    fill(page, Prompt="")
    press(page, "Again with this seed")
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    assert page.get_by_label("Prompt", exact=True).input_value() == "a red field"
    expect(page.get_by_label("Seed", exact=True)).to_be_visible()
    assert page.get_by_label("Seed", exact=True).input_value() == "7"

    page.goto(gateway.url)  # the last videos are there, and each has its address
    page.get_by_role("link", name="a red field").click()
    assert page.url == address
    page.once("dialog", lambda dialog: dialog.accept())
    press(page, "Delete")
    expect(page.locator("#job")).to_have_text("Your video appears here.")
    expect(page.locator("#last")).to_be_hidden()
    assert gateway.get(f"/api/status/{address.partition('job=')[2]}").status_code == 404


def test_phone(gateway: GatewayHere, worker: FakeWorker, visit: Visit, red_video: bytes) -> None:
    """In the dark. It finds the job by its address, whoever made it."""
    worker.content = red_video
    job_id = gateway.post("/api/generate", {"prompt": "a red field"}).json()["job_id"]
    page = visit(f"{gateway.url}/?job={job_id}", **PHONE)
    headline(page, "Next in the queue")
    has_no_barrier(page)
    worker.finish(worker.take())
    headline(page, "Finished")
    has_no_barrier(page)


def test_a_video_of_the_worker(visit: Visit, tmp_path: Path) -> None:
    """Nothing stands in for anything: what is asked for is seen and heard. The picture in README.md shows this page."""
    with served(tmp_path, page_picture.API) as service:
        width, height = page_picture.SIZE
        page = visit(service.url, viewport={"width": width, "height": height}, color_scheme="light")
        picture = page_picture.make_and_look(page)
        video = page.locator("#job video")
        red, green, blue = video.evaluate(SHOWN)
        assert blue > 150 and max(red, green) < 110
        assert video.evaluate(LOUDNESS) > 0.01
        expect(page.locator("dl")).to_contain_text("Soundyes")
    with Image.open(page_picture.PICTURE) as kept:
        assert unlike(picture, kept.convert("RGB")) < 4, "python -m bench.page_picture makes it anew"


def unlike(one: Image.Image, other: Image.Image) -> float:
    """How much the page differs on average, in 255ths, but for the videos and what is said of them."""
    width, height = page_picture.SIZE
    form = (0, 0, width * 2 // 5, height)
    difference = ImageChops.difference(one.crop(form), other.crop(form)).convert("L")
    return ImageStat.Stat(difference).mean[0]


def test_wrong_field(gateway: GatewayHere, endpoint: FaultyEndpoint, visit: Visit) -> None:
    """By the keyboard alone. It is said at the field, and the field has the focus."""
    page = visit(gateway.url)
    page.get_by_label("Prompt", exact=True).focus()
    page.keyboard.type("a cat")
    more = page.locator("summary")
    more.press("Enter")
    fill(page, Steps="500")
    more.press("Enter")  # the field is folded away
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    steps = page.get_by_label("Steps")
    expect(steps).to_be_focused()
    expect(steps).to_have_accessible_description("More take longer, 10 to 50 Must be an integer from 10 to 50.")
    expect(page.get_by_role("alert")).to_have_text("Look at the marked fields.")
    has_no_barrier(page)
    assert endpoint.faults.count("POST run") == 0


def test_first_look(start: Start, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page says what its own defaults take and how the video will differ from them, and marks nothing as wrong."""
    monkeypatch.setenv("MODEL", "sketch")
    gateway = start("hunyuanvideo-1.5", "local", "cogvideox", "openai")
    for name in ("hunyuanvideo-1.5", "local", "cogvideox", "openai"):
        page = visit(f"{gateway.url}/{name}/")
        expect(page.locator("#estimate")).to_contain_text(
            re.compile(r"^about \d.* s · 1\.. GiB of memoryMade by sketch")
        )
        expect(page.get_by_label("Model")).to_have_count(0)  # there is no choice
        expect(page.locator("[aria-invalid=true]")).to_have_count(0)
        has_no_barrier(page)
        if name == "local":
            page.locator("summary").click()
            expect(page.get_by_label("Backend")).to_have_value("auto")
            expect(page.locator("#estimate")).to_contain_text("Made in 3 segments")


def test_failure(gateway: GatewayHere, worker: FakeWorker, visit: Visit) -> None:
    """It says what to do."""
    page = visit(gateway.url)
    example = page.locator(".example").first
    example.click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(example.inner_text())
    press(page, "Make the video")
    headline(page, "Next in the queue")
    worker.fail(worker.take(), JobError(Code.OUT_OF_MEMORY, "The video does not fit into memory."))
    headline(page, "Failed")
    told = "The video does not fit into memory. Ask for a smaller size, fewer frames or fewer steps."
    expect(page.locator("#job .problem")).to_have_text(told)
    has_no_barrier(page)


def test_cancel(gateway: GatewayHere, endpoint: FaultyEndpoint, visit: Visit) -> None:
    """The second of two waits behind the first. Cancelled here, it is cancelled on the endpoint."""
    page = visit(gateway.url)
    fill(page, Prompt="a cat")
    press(page, "Make the video")
    headline(page, "Next in the queue")
    press(page, "Make the video")
    headline(page, "In the queue, 1 video before yours")
    press(page, "Cancel")
    headline(page, "Cancelled")

    def heard() -> None:
        assert endpoint.faults.count("POST cancel") == 1

    eventually(heard)


def test_gateway_away(start: Start, visit: Visit) -> None:
    gateway = start("hunyuanvideo")
    page = visit(gateway.url)
    fill(page, Prompt="a cat")
    press(page, "Make the video")
    headline(page, "Next in the queue")
    gateway.stop()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")


def picture_of(width: int, form: str) -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (width, 24), (0, 128, 0)).save(picture, form)
    return picture.getvalue()


def test_reference(gateway: GatewayHere, chromium: Browser) -> None:
    """It describes the API, and asks nobody else: what the browser itself blocks is not sent."""
    sent: list[str] = []

    def send(route: Route) -> None:
        sent.append(route.request.url)
        route.continue_()

    with chromium.new_page() as page:
        page.route("**/*", send)
        for path in ("docs", "redoc"):
            page.goto(f"{gateway.url}/{path}")
            expect(page.get_by_text("/api/generate").first).to_be_visible(timeout=PATIENCE * 1000)
    assert sent and [url for url in sent if not url.startswith((gateway.url, "data:", "blob:"))] == []


def test_every_kind_of_field(
    start: Start, worker: FakeWorker, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form is the schema's. What is not touched is not sent. A picture that cannot be sent becomes one that can."""
    native = HttpForm(APIS["native"], 0, lambda service: json_app(service, "native", lambda refusal: {}))
    monkeypatch.setitem(FORMS, "native", native)
    page = visit(start("native", "hunyuanvideo-1.5").url + "/native/")
    page.locator("#field-prompt").fill("a cat")
    fill(page, Width="640", Height="480")
    page.get_by_label("Model", exact=True).select_option("ltx")
    page.locator("summary").click()
    page.get_by_label("Low VRAM").check()
    page.get_by_role("checkbox", name="Audio").check()
    page.get_by_role("group", name="Audio").get_by_label("Prompt", exact=True).fill("a purr")
    (tmp_path / "a.webp").write_bytes(picture_of(32, "webp"))
    dropped = page.evaluate_handle(DROPPED, list(picture_of(16, "png")))
    page.locator(".picture").first.dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.get_by_alt_text("Your picture").first).to_have_js_property("naturalWidth", 16)
    page.get_by_label("Image", exact=True).set_input_files(tmp_path / "a.webp")
    expect(page.get_by_alt_text("Your picture").first).to_have_js_property("naturalWidth", 32)
    expect(page.locator("#estimate")).to_contain_text("GiB")
    has_no_barrier(page)
    press(page, "Make the video")
    headline(page, "Next in the queue")
    given = asked(worker.take())
    assert given.pop("image").startswith("data:image/jpeg;base64,")
    assert given == {
        "api": "native",
        "prompt": "a cat",
        "model": "ltx",
        "width": 640,
        "height": 480,
        "audio": {"prompt": "a purr"},
        "low_vram": True,
    }


def test_token(start: Start, worker: FakeWorker, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that asks for a token has a page that does so."""

    async def check(service: Service, request: Request) -> None:
        if request.headers.get("authorization") != "Bearer right":
            raise HTTPException(401, "The token is wrong.")

    form = HttpForm(APIS["native"], 0, lambda service: json_app(service, "native", lambda refusal: {}), check=check)
    monkeypatch.setitem(FORMS, "native", form)
    page = visit(start("native").url)
    page.locator("#field-prompt").fill("a cat")
    answers = iter(["wrong", "right"])
    page.on("dialog", lambda dialog: dialog.accept(next(answers)))
    press(page, "Make the video")
    headline(page, "Next in the queue")
    assert worker.take()["input"]["prompt"] == "a cat"
    assert next(answers, None) is None


def test_token_that_the_page_would_not_ask_for() -> None:
    def app(service: Service) -> FastAPI:
        made = json_app(service, "native", lambda refusal: {})

        @made.post("/generate", dependencies=[Depends(HTTPBearer())])
        async def generate() -> None: ...

        return made

    with pytest.raises(ValueError, match="native asks for tokens"):
        with_page(HttpForm(APIS["native"], 0, app), MagicMock(), app(MagicMock()))


def test_where_it_is(start: Start, visit: Visit) -> None:
    """At `/` for browsers, at `/ui/` always; several APIs have a page that leads to theirs."""
    gateway = start("hunyuanvideo", "hunyuanvideo-1.5")
    html = {"Accept": "text/html,*/*"}
    assert gateway.get("/hunyuanvideo/").json()["name"] == "HunyuanVideo REST API"
    assert "<form" in gateway.get("/hunyuanvideo/", headers=html).text
    assert "<form" in gateway.get("/hunyuanvideo/ui").text
    assert "<form" in gateway.get("/hunyuanvideo-1.5/").text
    assert gateway.get("/").json()["apis"].keys() == {"hunyuanvideo", "hunyuanvideo-1.5"}
    page = visit(f"{gateway.url}/")
    has_no_barrier(page)
    page.get_by_role("link", name="hunyuanvideo-1.5").click()
    expect(page.get_by_label("Resolution")).to_have_value("1080p")


def test_queue_of_the_document(start: Start) -> None:
    """The page's jobs count as any other."""
    gateway = start("hunyuanvideo-1.5", hunyuan_max_queue_size=1)
    body = {"prompt": "a cat on a mat, at night"}
    assert gateway.post("/ui/jobs", body).status_code == 201
    refused = gateway.post("/ui/jobs", body)
    assert refused.status_code == 503 and "queue is full" in refused.json()["message"]


def test_larger_picture(start: Start) -> None:
    """The gateway does not know whether the workers have super-resolution. It promises no more than they can do."""
    body = {"prompt": "a cat on a mat, at night", "resolution": "1080p"}
    told = start("hunyuanvideo-1.5").post("/ui/estimate", body).json()
    assert "Scaled up by super-resolution if the worker has its weights, else with a Lanczos filter." in told["notes"]
    assert not any("to 1904x1072" in note or "not installed" in note for note in told["notes"])


def test_other_sites(gateway: GatewayHere) -> None:
    """They may link to the page, and neither frame it nor call for it."""
    other = {"Sec-Fetch-Site": "cross-site", "Accept": "text/html"}
    page = gateway.get("/", headers=other)
    assert page.status_code == 200 and "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    for call in ("/ui/jobs", "/ui/estimate"):
        assert gateway.post(call, {"prompt": "a cat"}, headers=other).status_code == 403
    unknown = requests.get(f"{gateway.url}/ui/jobs/%00/video", timeout=PATIENCE)
    assert unknown.status_code == 404 and unknown.json().keys() == {"message"}
    assert gateway.get("/ui/static/..%2fapp.py").status_code == 404


def test_size(gateway: GatewayHere) -> None:
    """What is written by hand, and that it is sent compressed."""
    assert gateway.get("/ui/static/page.js").headers["Content-Encoding"] == "gzip"
    assert (
        sum(path.stat().st_size for path in PAGE.rglob("*") if path.suffix in (".html", ".js", ".css", ".svg")) < 30_000
    )

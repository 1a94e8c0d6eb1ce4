"""The Gradio page of `hunyuanvideo-foley` in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.worker import FakeWorker, asked
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import GatewayHere
from tests.handler_process import ROOT
from tests.media.pictures import flat
from tests.media.sounds import form, tone
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.media.file import VideoFile
from videoworker.media.sound_track import add_sound

pytestmark = [pytest.mark.needs_chromium_headless_shell, pytest.mark.needs_axe_core]

AXE = ROOT / "builder" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
GRADIOS = {"aria-prohibited-attr": 'aria-label="Empty value"', "nested-interactive": 'class="toast-header '}
SHOWN = """async video => {
    const bytes = await (await fetch(video.currentSrc)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes);
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const loudest = sound.getChannelData(0).reduce((most, one) => Math.max(most, Math.abs(one)), 0);
    return [...context.getImageData(20, 20, 1, 1).data].slice(0, 3).concat(loudest);
}"""


@pytest.fixture
def gateway(start: Start) -> GatewayHere:
    return start("hunyuanvideo-foley")


@pytest.fixture
def page(gateway: GatewayHere) -> Iterator[Page]:
    """Nothing in it may fail or leave its site."""
    wrong: list[str] = []

    def outside(url: str) -> None:
        if not url.startswith((gateway.url, "data:", "blob:")):
            wrong.append(url)

    with sync_playwright() as playwright:
        command = shutil.which("chromium-headless-shell")
        browser = playwright.chromium.launch(executable_path=command, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: outside(request.url))
        page.goto(gateway.url)
        yield page
        browser.close()
    assert wrong == []


def red_video(path: Path) -> bytes:
    """Half a second, with a tone."""
    with VideoFile(path, form("mp4", 12, 24)) as file:
        for _ in range(12):
            file.write(flat(64, 48, (254, 0, 0)))
        file.close()
    add_sound(path, "mp4", tone(0.5, 440), watch_that())
    return path.read_bytes()


def has_no_new_barrier(page: Page) -> None:
    """axe-core finds nothing but what docs/gateway.md tells of Gradio's own parts, once all has faded in."""
    page.evaluate(AXE.read_text("utf-8"))

    def check() -> None:
        found = [(one["id"], node["html"]) for one in page.evaluate("axe.run()")["violations"] for node in one["nodes"]]
        assert [(rule, html) for rule, html in found if GRADIOS.get(rule, "none of it") not in html] == []

    eventually(check)


def test_page(page: Page, gateway: GatewayHere, worker: FakeWorker, tmp_path: Path) -> None:
    """Make, watch, play with sound, read the details, download; an error, and a cancelled job."""
    worker.content = red_video(tmp_path / "red.mp4")
    generate = page.get_by_role("button", name="Generate video")
    page.goto(f"{gateway.url}/?__theme=dark")
    generate.wait_for()
    has_no_new_barrier(page)
    page.goto(gateway.url)
    page.get_by_label("Video prompt").fill("a red field")
    page.get_by_label("Duration").fill("2.5")
    has_no_new_barrier(page)
    generate.click()
    job = eventually(worker.take)
    assert asked(job) == {
        "api": "hunyuanvideo-foley",
        "video_prompt": "a red field",
        "audio_prompt": "",
        "duration": 2.5,
        "quality": "medium",
        "output_format": "mp4",
    }
    worker.tell(job, 0.5)
    expect(page.get_by_text("Denoising, step 5 of 10").first).to_be_visible()
    worker.finish(job)
    page.wait_for_function("document.querySelector('video')?.readyState >= 2")
    red, green, blue, loudest = page.locator("video").evaluate(SHOWN)
    assert red > 240 and max(green, blue) < 15 and loudest > 0.3
    details = page.locator("body")
    has_no_new_barrier(page)
    expect(details).to_contain_text("Video generated successfully")
    expect(details).to_contain_text(f"{gateway.url}/gradio_api/file=")
    with page.expect_download() as download:
        page.get_by_text("Download", exact=True).click()
    assert Path(download.value.path()).read_bytes() == worker.content

    generate.click()
    worker.fail(eventually(worker.take), JobError(Code.OUT_OF_MEMORY, "CUDA GPU not available or out of memory"))
    expect(page.get_by_test_id("toast-body")).to_contain_text("CUDA GPU not available or out of memory")
    expect(details).to_contain_text("GPUUnavailableError")
    expect(details).not_to_contain_text("Video generated successfully")
    has_no_new_barrier(page)

    generate.click()
    job = eventually(worker.take)
    page.get_by_role("button", name="Cancel").click()

    def is_cancelled() -> None:
        assert worker.stops() == [job["id"]]

    eventually(is_cancelled)

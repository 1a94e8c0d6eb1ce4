"""Makes docs/page.png: the page while `sketch` makes a video, in light, and the finished video, in dark.

Run as `python -m bench.page_picture`. It needs the Debian package chromium-headless-shell. A test makes the same
picture, and compares.
"""

import io
import shutil
import tempfile
from pathlib import Path

import typer
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bench.servers.apis import served
from bench.servers.endpoint import eventually

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "page.png"
API = "openai"
SIZE = (1180, 900)
_COLOURS = 128  # so that the file stays small
_SHOWN = 0.3  # of the job: the picture has emerged by then
_PATIENCE = 120_000  # milliseconds
_FADING = 500  # milliseconds: Chromium's sign that a video is loading

_PROMPT = "a yellow star rising on a blue background"
_SOUND = "a flute"


def main() -> None:
    """Serves the page over a worker of this repository, and looks at it in a browser."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), API) as service, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.set_default_timeout(_PATIENCE)
        page.goto(service.url)
        make_and_look(page).quantize(_COLOURS, kmeans=2).save(PICTURE, optimize=True)
        browser.close()
    typer.echo(f"{PICTURE.name}: {PICTURE.stat().st_size} bytes")


def make_and_look(page: Page) -> Image.Image:
    """Makes a video with sound on the page of `API`. What is seen meanwhile and at the end, side by side."""
    page.get_by_label("Prompt", exact=True).first.fill(_PROMPT)
    page.get_by_role("checkbox", name="Audio").check()
    page.get_by_role("group", name="Audio").get_by_label("Prompt", exact=True).fill(_SOUND)
    page.get_by_role("button", name="Make the video").click()
    page.get_by_alt_text("The picture as it emerges").wait_for()
    _until(page, f"document.querySelector('progress')?.value > {_SHOWN}")
    making = _picture(page)
    page.locator("#job video").wait_for()
    page.emulate_media(color_scheme="dark")
    _until(page, "document.querySelector('#job video').readyState > 0")
    page.locator("#job video").evaluate("video => { video.currentTime = video.duration / 2; }")
    _until(page, "[...document.querySelectorAll('video')].every(video => video.readyState > 3 && !video.seeking)")
    page.wait_for_timeout(_FADING)
    finished = _picture(page)
    whole = Image.new("RGB", (SIZE[0] * 2, SIZE[1]))
    whole.paste(making, (0, 0))
    whole.paste(finished, (SIZE[0], 0))
    return whole


def _until(page: Page, holds: str) -> None:
    """The page's own policy forbids Playwright's way to wait for a script."""

    def check() -> None:
        assert page.evaluate(holds)

    eventually(check)


def _picture(page: Page) -> Image.Image:
    page.mouse.wheel(0, -10_000)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    typer.run(main)

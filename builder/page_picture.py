"""Makes docs/page.png: the page while `sketch` makes a video, in light, and the finished video, in dark.

Run as `python -m builder.page_picture`. It needs the Debian package chromium-headless-shell.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import typer
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

_PAGE = Path(__file__).resolve().parents[1] / "docs" / "page.png"
_SIZE = (1180, 820)
_COLOURS = 96  # so that the file stays below 100 kB
_SHOWN = 0.3  # of the job: the picture has emerged by then
_PATIENCE = 120_000  # milliseconds

_FIELDS = {
    "Prompt": "a yellow star spinning on a blue background",
    "Width": "256",
    "Height": "256",
    "Video length": "25",
    "Num inference steps": "40",
    "Guidance scale": "2",
}


def main() -> None:
    """Serves the page over a worker of this repository, and looks at it in a browser."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        environment = {"MODEL": "sketch", "PYTHONPATH": str(_PAGE.parents[1] / "src")}
        command = [str(Path(sys.executable).with_name("videoworker")), "serve", "--api", "hunyuanvideo", "--port", "0"]
        service = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert service.stdout is not None
            url = next(line.split()[1] for line in service.stdout if line.endswith("with hunyuanvideo\n"))
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium-headless-shell"),
                args=["--no-sandbox", "--disable-dev-shm-usage"],
            )
            _join(_pictures(browser, url)).quantize(_COLOURS).save(_PAGE, optimize=True)
            browser.close()
        finally:
            service.terminate()
            service.wait()
    typer.echo(f"{_PAGE.name}: {_PAGE.stat().st_size} bytes")


def _pictures(browser: Browser, url: str) -> list[Image.Image]:
    page = browser.new_page(viewport={"width": _SIZE[0], "height": _SIZE[1]}, bypass_csp=True)
    page.set_default_timeout(_PATIENCE)
    page.goto(url)
    for label, text in _FIELDS.items():
        page.get_by_label(label, exact=True).fill(text)
    _submit(page)
    page.get_by_alt_text("The picture as it emerges").wait_for()
    page.wait_for_function(f"document.querySelector('progress')?.value > {_SHOWN}")
    making = _picture(page)
    page.locator("#job video").wait_for()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("[...document.querySelectorAll('video')].every(video => video.readyState > 1)")
    return [making, _picture(page)]


def _submit(page: Page) -> None:
    """The worker may still be starting; then the page says so."""
    while not page.locator("#job h2").count():
        page.get_by_role("button", name="Make the video").click()
        page.wait_for_timeout(1000)


def _picture(page: Page) -> Image.Image:
    page.evaluate("scrollTo(0, 0)")
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def _join(pictures: list[Image.Image]) -> Image.Image:
    """Side by side."""
    width, height = pictures[0].size
    whole = Image.new("RGB", (width * len(pictures), height))
    for index, picture in enumerate(pictures):
        whole.paste(picture, (index * width, 0))
    return whole


if __name__ == "__main__":
    typer.run(main)

"""How long the gateway's page takes to appear in Chromium."""

import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, sync_playwright

from videoworker.gateway import page

# When the page can be used: its style is there, its button is visible, and its form has fields. In milliseconds from
# the start of the navigation.
_NOTED = """
const look = () => {
    const button = document.querySelector("#make button"), fields = document.querySelector("#fields");
    if (button?.checkVisibility() && fields.children.length && document.styleSheets.length)
        window.usableAt = performance.now();
    else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
# As the browser's own tools name it.
_SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
_SLOW_CPU = 4  # how many times slower than here


@dataclass(frozen=True)
class Loaded:
    """Medians of several loads, in milliseconds: without anything in the browser's cache, and again. `requests` and
    `bytes` are of a cold one, headers among them."""

    cold: float
    warm: float
    requests: int
    bytes: int


@dataclass(frozen=True)
class PageLoads:
    chromium: str
    here: Loaded
    slow: Loaded


def measure(url: str, loads: int) -> PageLoads:
    """`url`: the page's."""
    with sync_playwright() as playwright:
        command = shutil.which("chromium-headless-shell")
        browser = playwright.chromium.launch(executable_path=command, args=["--no-sandbox", "--disable-dev-shm-usage"])
        _load(browser, url, is_slow=False)  # the browser's own first work
        return PageLoads(
            browser.version,
            _median([_load(browser, url, is_slow=False) for _ in range(loads)]),
            _median([_load(browser, url, is_slow=True) for _ in range(loads)]),
        )


def own_bytes() -> int:
    """Of the files that the page consists of, as they are in the repository."""
    folder = Path(page.__path__[0])
    return sum(file.stat().st_size for file in [*folder.glob("*.html"), *folder.glob("static/*")])


def _load(browser: Browser, url: str, is_slow: bool) -> Loaded:
    context = browser.new_context()
    shown = context.new_page()
    shown.add_init_script(_NOTED)
    tools = context.new_cdp_session(shown)
    tools.send("Network.enable")
    if is_slow:
        tools.send("Network.emulateNetworkConditions", _SLOW_4G)
        tools.send("Emulation.setCPUThrottlingRate", {"rate": _SLOW_CPU})
    transferred = _noted_bytes(tools)
    shown.goto(url)
    shown.wait_for_function("window.usableAt")
    cold = shown.evaluate("window.usableAt")
    shown.wait_for_load_state("networkidle")
    requests, size = len(transferred), sum(transferred)
    shown.reload()
    shown.wait_for_function("window.usableAt")
    warm = shown.evaluate("window.usableAt")
    context.close()
    return Loaded(cold, warm, requests, size)


def _noted_bytes(tools: CDPSession) -> list[int]:
    """Grows with each answer that arrives."""
    transferred: list[int] = []
    tools.on("Network.loadingFinished", lambda event: transferred.append(event["encodedDataLength"]))
    return transferred


def _median(loads: list[Loaded]) -> Loaded:
    return Loaded(
        statistics.median(one.cold for one in loads),
        statistics.median(one.warm for one in loads),
        max(one.requests for one in loads),
        max(one.bytes for one in loads),
    )

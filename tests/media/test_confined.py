"""A picture that takes too long to decode is refused. Meanwhile cancel, time limit and shutdown are heard."""

import base64
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from bench.hostile_pictures import jpeg_of_many_scans, png_of_many_pixels, png_of_many_profiles
from tests.handler_process import environment
from tests.watches import unheard
from videoworker.errors import Code, JobError
from videoworker.media import picture
from videoworker.media.confined import Limits
from videoworker.watch import Watch

PATIENCE = 300.0

# A process that decodes the picture on its standard input.
DECODING = """
import sys
from videoworker.media.picture import decode_picture
decode_picture(sys.stdin.read(), "image")
"""


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decoders(process: psutil.Process) -> list[psutil.Process]:
    """The decoders that a process has started."""
    return [child for child in process.children() if any("picture_decoder" in word for word in child.cmdline())]


def watch_with(happens: Callable[[Watch], object]) -> Watch:
    """A watch to which something happens as soon as a picture is being decoded. Its clock stands still till then."""

    def clock() -> float:
        return float(happens(watch) or 0.0) if decoders(psutil.Process()) else 0.0  # type: ignore[arg-type]

    watch = Watch("a", unheard, 1000.0, clock)
    return watch


@pytest.mark.parametrize(
    ("hostile", "limits"),
    [
        (jpeg_of_many_scans, Limits(2**30, seconds=1)),
        (png_of_many_profiles, Limits(2**30, seconds=1)),
        (png_of_many_pixels, Limits(200 * 2**20, seconds=60)),
    ],
    ids=["scans", "profiles", "pixels"],
)
def test_hostile_picture(hostile: Callable[[], bytes], limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are tightened, so that the test is short."""
    monkeypatch.setattr(picture, "LIMITS", limits)
    with pytest.raises(JobError) as raised:
        picture.decode_picture(text(hostile()), "image")
    assert raised.value.code is Code.INVALID_IMAGE
    [problem] = raised.value.fields
    assert f"{limits.seconds} seconds and {limits.memory_bytes // 2**20} MiB" in problem.allowed
    assert decoders(psutil.Process()) == []


def test_largest_picture() -> None:
    """A picture of as many pixels as are allowed is within the limits."""
    assert picture.decode_picture(text(png_of_many_pixels()), "image").shape == (7000, 7000, 3)


@pytest.mark.parametrize(
    ("happens", "code"),
    [(lambda watch: watch.cancel.set(), Code.CANCELLED), (lambda watch: 1001.0, Code.GENERATION_TIMEOUT)],
    ids=["cancel", "time limit"],
)
def test_stop(happens: Callable[[Watch], object], code: Code) -> None:
    """A cancel and the time limit end the decoder."""
    with pytest.raises(JobError) as raised:
        picture.decode_picture(text(jpeg_of_many_scans()), "image", watch_with(happens))
    assert raised.value.code is code
    assert decoders(psutil.Process()) == []


@pytest.mark.parametrize("hostile", [jpeg_of_many_scans, png_of_many_profiles], ids=["scans", "profiles"])
def test_killed_worker(hostile: Callable[[], bytes]) -> None:
    """The decoder ends with the process that has started it, even if that one is killed."""
    with subprocess.Popen([sys.executable, "-c", DECODING], stdin=subprocess.PIPE, env=environment()) as process:
        assert process.stdin is not None
        process.stdin.write(text(hostile()).encode())
        process.stdin.close()
        worker = psutil.Process(process.pid)
        while not (started := decoders(worker)):
            assert process.poll() is None
        process.kill()
    _, alive = psutil.wait_procs(started, PATIENCE)
    assert alive == []


def test_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder's environment holds none of the worker's."""
    monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", "hunter2")
    seen: list[dict[str, str]] = []

    def look(watch: Watch) -> None:
        seen.extend(decoder.environ() for decoder in decoders(psutil.Process()))
        watch.cancel.set()

    with pytest.raises(JobError):
        picture.decode_picture(text(jpeg_of_many_scans()), "image", watch_with(look))
    assert seen
    assert not any(set(found) - {"LD_LIBRARY_PATH"} for found in seen)

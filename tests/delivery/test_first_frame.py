"""The picture that stands for a video."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media.clips import Kind, clip, shades
from videoworker.canvas import Canvas
from videoworker.delivery import first_frame
from videoworker.media.file import VideoFile, VideoFormat
from videoworker.request import Container


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_it_is_the_first_frame_in_its_own_colours(tmp_path: Path, container: Container) -> None:
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]
    with VideoFile(tmp_path / "video", VideoFormat(container, Canvas.whole(128, 64), 12, len(colours))) as video:
        for colour in colours:
            video.write(np.full((64, 128, 3), colour, np.uint8))
        video.close()
    picture = Image.open(io.BytesIO(first_frame.jpeg(tmp_path / "video", b"")))
    assert (picture.format, picture.size) == ("JPEG", (128, 64))
    assert np.abs(np.asarray(picture).astype(int) - colours[0]).max() <= 8


def test_it_is_upright(tmp_path: Path) -> None:
    """What was above, red, lies on the left after a quarter turn anticlockwise."""
    (tmp_path / "video").write_bytes(clip(shades(2), Kind(rotation=90)))
    picture = Image.open(io.BytesIO(first_frame.jpeg(tmp_path / "video", b"")))
    assert picture.size == (48, 64)
    left, right = np.asarray(picture)[-4, [4, -4]].astype(int)
    assert (left.argmax(), right.argmax()) == (0, 2)

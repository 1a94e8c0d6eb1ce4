"""The size that a file is expected to have, beside the sizes that the shipped model's files have."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from videoworker import job
from videoworker.canvas import Canvas
from videoworker.engine.engine import Engine
from videoworker.media.file import CRF, VideoFile, VideoFormat
from videoworker.media.size import estimated_bytes
from videoworker.request import Container, Quality, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

CRFS: list[tuple[Container, Quality, int | None]] = [
    ("mp4", "low", None),
    ("mp4", "medium", None),
    ("mp4", "high", None),
    ("mp4", "medium", 40),
    ("mp4", "medium", 12),
    ("webm", "low", None),
    ("webm", "medium", None),
    ("webm", "high", None),
]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[NDArray[Any]]:
    """What `sketch` draws: 128x128 pixels."""
    settings = Settings(output_dir=tmp_path_factory.mktemp("made"), delivery="file")
    prompt = "a red circle moving right on a blue background"
    size: dict[str, Any] = {"width": 128, "height": 128, "num_frames": 9, "num_inference_steps": 4}
    request = VideoRequest("native", prompt, "sketch", **size, seed=1, crf=4)
    job.run({"id": "a"}, request, Watch("a", lambda _: None, 1000.0), engine=Engine(settings), settings=settings)
    with av.open(settings.output_dir / "a" / "video.mp4") as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


@pytest.mark.parametrize(("container", "quality", "crf"), CRFS)
@pytest.mark.parametrize("scale", [2, 4])
def test_no_file_is_larger_than_expected_nor_far_smaller(
    frames: list[NDArray[Any]], tmp_path: Path, container: Container, quality: Quality, crf: int | None, scale: int
) -> None:
    height, width = (side * scale for side in frames[0].shape[:2])
    form = VideoFormat(container, Canvas.whole(width, height), 12, len(frames), quality, crf)
    with VideoFile(tmp_path / "video", form) as video:
        for frame in frames:
            video.write(np.kron(frame, np.ones((scale, scale, 1), np.uint8)))
        video.close()
    real = (tmp_path / "video").stat().st_size
    expected = estimated_bytes(form)
    assert real <= expected <= 30 * real


def test_better_quality_and_more_pixels_take_more() -> None:
    def estimated(container: Container, quality: Quality, num_frames: int = 100, crf: int | None = None) -> int:
        return estimated_bytes(VideoFormat(container, Canvas.whole(1000, 1000), 24, num_frames, quality, crf))

    for container in CRF:
        low, medium, high = (estimated(container, quality) for quality in ("low", "medium", "high"))
        assert low < medium < high
        assert estimated(container, "low", crf=CRF[container]["high"]) == high
        assert 1.9 < estimated(container, "medium", 200) / medium < 2

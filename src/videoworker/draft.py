"""What the two ways of a job share, that which makes a clip and that which adds sound to one: what they have at hand,
and what they leave in the job's folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videoworker.engine.engine import Engine
from videoworker.media.file import Content
from videoworker.origin import Origin
from videoworker.request import Video, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch


@dataclass(frozen=True)
class Task:
    """A job at work. `folder` is its own. `check_size` raises `JobError` OUTPUT_TOO_LARGE if a file of so many bytes
    cannot be delivered."""

    request: VideoRequest
    engine: Engine
    settings: Settings
    watch: Watch
    folder: Path
    check_size: Callable[[int], None]


@dataclass(frozen=True)
class Draft:
    """A file that is whole but not marked, at `path`. `video` is its report, without what marking changes: `file_size`
    is 0 and `sha256` is empty."""

    path: Path
    content: Content
    origin: Origin
    video: Video

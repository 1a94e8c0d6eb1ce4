"""One line about a finished job, for people."""

import os
from urllib.parse import urlsplit
from urllib.request import url2pathname

from videoworker.request import Result


def line(result: Result) -> str:
    """The file's path relative to this folder, or its URL, then what it is and how long it took."""
    video = result.video
    url = urlsplit(video.url)
    place = os.path.relpath(url2pathname(url.path)) if url.scheme == "file" else video.url
    return (
        f"{place}  {video.width}x{video.height}, {video.num_frames} frames, {video.fps} fps, {video.duration:.1f} s, "
        f"{'with sound' if video.has_audio else 'silent'}, seed {video.seed}, {video.model}, "
        f"made in {result.timings['total']:.1f} s"
    )

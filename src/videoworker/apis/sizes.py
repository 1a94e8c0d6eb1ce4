"""The 16:9 picture sizes that the documents name, in pixels."""

from typing import Literal

Resolution = Literal["480p", "720p", "1080p"]

# Width, height. 480 lines at 16:9 are 853.3 pixels wide. H.264 in 4:2:0 needs an even number, and 854 is the next.
SIZES: dict[Resolution, tuple[int, int]] = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}

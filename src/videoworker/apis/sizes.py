"""What the documents' names for 16:9 picture sizes mean in pixels."""

from typing import Literal

Resolution = Literal["480p", "720p", "1080p"]

# Width, height. 480 lines at 16:9 are 853.3 pixels wide; 854 is the next even number, as H.264 4:2:0 needs.
SIZES: dict[Resolution, tuple[int, int]] = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}

"""What is seen and asked for, as features: pictures (SigLIP2), motion (Synchformer) and texts (CLAP).

Of each frame only what an encoder sees is kept, at that encoder's size, in a file. The encoders read it when the video
is whole. So memory holds the same few pictures, however long the video is, and the encoders need no room before.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from os import SEEK_END
from typing import Any, BinaryIO, TypeVar

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from videoworker.canvas import Frames, Picture
from videoworker.families.foley.windows import Window
from videoworker.watch import Watch

Item = TypeVar("Item", int, tuple[int, ...])

MAX_TEXT_TOKENS = 77

# So many are encoded together: half a second of pictures and 1.3 seconds of motion, or a little more of each.
PICTURES_AT_ONCE, SEGMENTS_AT_ONCE = 8, 4


@dataclass(frozen=True)
class Extractors:
    """The networks that make features, all on one device."""

    tokenizer: Any
    text_encoder: Any
    image_encoder: Any
    synchformer: Any
    device: torch.device


@dataclass(frozen=True)
class Seen:
    """The features of one window, on the CPU and in float32: of its pictures [V, dim], and of its motion [S, dim] with
    8 for each segment."""

    visual: torch.Tensor
    sync: torch.Tensor


@dataclass(frozen=True)
class Sides:
    """Of the squares that the encoders of pictures and of motion take, in pixels."""

    picture: int
    motion: int


class Viewer:
    """Takes all frames of a video, one by one. Of each it keeps what the encoders will see of it in `file`."""

    def __init__(self, sides: Sides, windows: Sequence[Window], file: BinaryIO) -> None:
        self.windows = windows
        self._file, self._num_seen = file, 0
        self._pictures = _Kept(file, sides.picture, {number for window in windows for number in window.pictures})
        of_segments = {number for window in windows for segment in window.segments for number in segment}
        self._motion = _Kept(file, sides.motion, of_segments)

    def see(self, frame: Picture) -> None:
        """Takes the next frame [height, width, 3]."""
        if self._num_seen in self._pictures.wanted:
            self._pictures.keep(self._num_seen, squashed(frame, self._pictures.side))
        if self._num_seen in self._motion.wanted:
            self._motion.keep(self._num_seen, cropped(frame, self._motion.side))
        self._num_seen += 1

    def pictures(self, numbers: Sequence[int]) -> Frames:
        """Of the frames with these numbers, as the encoder of pictures sees them."""
        return self._pictures.read(numbers)

    def motion(self, segments: Sequence[Sequence[int]]) -> Frames:
        """[len(segments), frames, side, side, 3], as the encoder of motion sees them."""
        return np.stack([self._motion.read(segment) for segment in segments])


class _Kept:
    """Squares of `side` pixels in a file that several share, by the numbers of their frames."""

    def __init__(self, file: BinaryIO, side: int, wanted: set[int]) -> None:
        self.side, self.wanted = side, wanted
        self._file = file
        self._places: dict[int, int] = {}

    def keep(self, number: int, square: Picture) -> None:
        self._places[number] = self._file.seek(0, SEEK_END)
        self._file.write(square.tobytes())

    def read(self, numbers: Sequence[int]) -> Frames:
        return np.stack([self._one(number) for number in numbers])

    def _one(self, number: int) -> Picture:
        self._file.seek(self._places[number])
        shape = self.side, self.side, 3
        return np.frombuffer(self._file.read(3 * self.side**2), np.uint8).reshape(shape)


@torch.inference_mode()
def extract(extractors: Extractors, viewer: Viewer, watch: Watch) -> tuple[Seen, ...]:
    """The features of each window, after the last frame. Raises `JobError`: the watch's."""
    of_pictures: dict[int, torch.Tensor] = {}
    for numbers in _batches({one for window in viewer.windows for one in window.pictures}, PICTURES_AT_ONCE):
        watch.check()
        encoder = extractors.image_encoder
        pixels = _pixels(viewer.pictures(numbers), extractors.device, encoder.dtype)
        of_pictures |= zip(numbers, encoder(pixel_values=pixels).pooler_output.float().cpu(), strict=True)
    of_segments: dict[tuple[int, ...], torch.Tensor] = {}
    for segments in _batches({one for window in viewer.windows for one in window.segments}, SEGMENTS_AT_ONCE):
        watch.check()
        encoder = extractors.synchformer
        pixels = _pixels(viewer.motion(segments), extractors.device, encoder.dtype)
        of_segments |= zip(segments, encoder(pixels.transpose(1, 2)).float().cpu(), strict=True)
    return tuple(
        Seen(
            torch.stack([of_pictures[number] for number in window.pictures]),
            torch.cat([of_segments[segment] for segment in window.segments]),
        )
        for window in viewer.windows
    )


def _batches(items: Set[Item], most: int) -> Iterator[list[Item]]:
    """All items in order, at most so many at once."""
    ordered = sorted(items)
    return (ordered[first : first + most] for first in range(0, len(ordered), most))


def _pixels(pictures: Frames, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """[..., 3, height, width] from -1 to 1."""
    pixels = torch.from_numpy(pictures).to(device).movedim(-1, -3)
    return (pixels.float() / 127.5 - 1).to(dtype)


def squashed(frame: Picture, side: int) -> Picture:
    """The frame as a square, whatever its shape was: the model was trained so."""
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR))


def cropped(frame: Picture, side: int) -> Picture:
    """The middle square of the frame, its shorter side scaled to `side`."""
    height, width = frame.shape[:2]
    shorter = min(height, width)
    size = side * height // shorter, side * width // shorter
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
    scaled = functional.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False)[0]
    top, left = (round((length - side) / 2) for length in size)
    return scaled[:, top : top + side, left : left + side].permute(1, 2, 0).contiguous().numpy()


@torch.inference_mode()
def read_texts(extractors: Extractors, texts: Sequence[str]) -> tuple[torch.Tensor, int]:
    """The states [len(texts), T, dim] of texts on the CPU in float32, and how many tokens of the last did not fit.

    Shorter texts are padded, and the states are cut after encoding: the model was trained so.
    """
    tokenizer, encoder = extractors.tokenizer, extractors.text_encoder
    longest = encoder.config.max_position_embeddings - encoder.config.pad_token_id - 1
    tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
    states = encoder(
        input_ids=tokens.input_ids.to(extractors.device), attention_mask=tokens.attention_mask.to(extractors.device)
    ).last_hidden_state
    whole = len(tokenizer(texts[-1]).input_ids)
    return states[:, :MAX_TEXT_TOKENS].float().cpu(), max(whole - MAX_TEXT_TOKENS, 0)

"""What is seen and asked for, as features: pictures (SigLIP2), motion (Synchformer) and texts (CLAP).

Frames are taken as they stream. Of each only what an encoder sees is kept, at that encoder's size, until enough are
there to be encoded together. So memory holds the same few pictures, however long the video is.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from videoworker.canvas import Frames, Picture
from videoworker.families.foley.windows import Window
from videoworker.watch import Watch

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


class Viewer:
    """Takes all frames of a video, one by one, and has the features of its windows then."""

    def __init__(self, extractors: Extractors, windows: Sequence[Window], watch: Watch) -> None:
        self._extractors, self._windows, self._watch = extractors, windows, watch
        self._pictures_left = deque(sorted({number for window in windows for number in window.pictures}))
        # In time, because no segment is longer than another.
        self._segments_left = deque(sorted({segment for window in windows for segment in window.segments}))
        self._of_a_segment = {number for segment in self._segments_left for number in segment}
        self._num_seen = 0
        self._pictures: dict[int, Picture] = {}  # by frame, to be encoded
        self._recent: dict[int, Picture] = {}  # by frame, of segments that are not over
        self._segments: dict[tuple[int, ...], Frames] = {}  # to be encoded
        self._of_pictures: dict[int, torch.Tensor] = {}
        self._of_segments: dict[tuple[int, ...], torch.Tensor] = {}

    @property
    def num_pictures_held(self) -> int:
        """How many pictures wait in memory."""
        return len(self._pictures) + len(self._recent) + sum(map(len, self._segments.values()))

    def see(self, frame: Picture) -> None:
        """Takes the next frame [height, width, 3], which is not kept. Raises `JobError`: the watch's."""
        number = self._num_seen
        self._num_seen += 1
        if self._pictures_left and self._pictures_left[0] == number:
            self._pictures_left.popleft()
            self._pictures[number] = squashed(frame, self._extractors.image_encoder.config.image_size)
        if number in self._of_a_segment:
            self._recent[number] = cropped(frame, self._extractors.synchformer.config.image_size)
        while self._segments_left and self._segments_left[0][-1] <= number:
            segment = self._segments_left.popleft()
            self._segments[segment] = np.stack([self._recent[one] for one in segment])
        first_needed = self._segments_left[0][0] if self._segments_left else self._num_seen
        self._recent = {one: picture for one, picture in self._recent.items() if one >= first_needed}
        if len(self._pictures) >= PICTURES_AT_ONCE:
            self._encode_pictures()
        if len(self._segments) >= SEGMENTS_AT_ONCE:
            self._encode_segments()

    def features(self) -> tuple[Seen, ...]:
        """Those of each window, after the last frame. Raises `JobError`: the watch's."""
        self._encode_pictures()
        self._encode_segments()
        return tuple(
            Seen(
                torch.stack([self._of_pictures[number] for number in window.pictures]),
                torch.cat([self._of_segments[segment] for segment in window.segments]),
            )
            for window in self._windows
        )

    @torch.inference_mode()
    def _encode_pictures(self) -> None:
        if self._pictures:
            self._watch.check()
            encoder = self._extractors.image_encoder
            pixels = self._pixels(np.stack(list(self._pictures.values())), encoder.dtype)
            features = encoder(pixel_values=pixels).pooler_output.float().cpu()
            self._of_pictures |= dict(zip(self._pictures, features, strict=True))
            self._pictures.clear()

    @torch.inference_mode()
    def _encode_segments(self) -> None:
        if self._segments:
            self._watch.check()
            encoder = self._extractors.synchformer
            pixels = self._pixels(np.stack(list(self._segments.values())), encoder.dtype)
            features = encoder(pixels.transpose(1, 2)).float().cpu()
            self._of_segments |= dict(zip(self._segments, features, strict=True))
            self._segments.clear()

    def _pixels(self, pictures: Frames, dtype: torch.dtype) -> torch.Tensor:
        """[..., 3, height, width] from -1 to 1."""
        pixels = torch.from_numpy(pictures).to(self._extractors.device).movedim(-1, -3)
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

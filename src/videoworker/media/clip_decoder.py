"""The program that decodes one clip, in a process of its own. `media.clip` starts it and reads what it says.

It is run as a file and imports nothing of this package. It ends as soon as its standard input ends. So it ends with the
process that has started it.
"""

import json
import os
import resource
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import IO, Any

import av
import numpy as np
from av.container import Flags as ContainerFlags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

MAX_BYTES = 100_000_000
MAX_PIXELS = 3840 * 2160  # of a frame
MIN_SIDE = 16  # pixels
MIN_FRAMES, MAX_FRAMES = 2, 1800
MAX_SECONDS = 30
MAX_FPS = 120

_MP4, _WEBM = "mov", "matroska"  # the demuxers, which are opened by these names and no others

# Canonical codec -> what its clip is copied into; of AV1 it is as it came.
_CONTAINERS = {"h264": "mp4", "hevc": "mp4", "vp8": "webm", "vp9": "webm"}
_AV1 = {_MP4: "mp4", _WEBM: "webm"}
_CODECS = "a clip in H.264, HEVC, VP8, VP9 or AV1"
_BROKEN = "a clip that is whole; this one is broken"

_LOST_SECONDS = 0.1  # by which a file may be shorter than it says, beside the length of a frame
_THREADS = 4  # within one frame: decoded by threads, frames would wait for a broken one for ever


@dataclass(frozen=True)
class Verdict:
    """What is said of a clip, or what is allowed instead of it.

    `width` and `height` are of its frames when they are upright. `fps` is a fraction, as text. `given` is what it has,
    if that can be told in a few words. If `is_unknown`, it is of no format that is let in.
    """

    container: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: str = ""
    num_frames: int = 0
    duration: float = 0.0
    notes: tuple[str, ...] = ()
    allowed: str | None = None
    given: str | None = None
    is_unknown: bool = False


class _Refused(Exception):
    """What is allowed, and what was given if that can be told."""

    def __init__(self, allowed: str, given: str | None = None) -> None:
        super().__init__(allowed)
        self.allowed, self.given = allowed, given


def check(data: IO[bytes], picture: IO[bytes]) -> Verdict:
    """Copies the picture's packets into a file of their own, decodes it whole, and says what it is.

    It begins at 0 and has no tags. Raises `MemoryError`.
    """
    demuxer = _demuxer(data.read(8))
    data.seek(0)
    if demuxer is None:
        return Verdict(is_unknown=True)
    try:
        copy = _copy(data, demuxer, picture)
        picture.seek(0)
        return _decoded(picture, copy)
    except _Refused as refused:
        return Verdict(allowed=refused.allowed, given=refused.given)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        if isinstance(error, MemoryError):
            raise
        return Verdict(allowed=_BROKEN)


def write_frames(picture: IO[bytes], frames: IO[bytes], fps: Fraction, num_frames: int) -> None:
    """Writes `num_frames` frames of a file that `check` has made, as bytes of RGB [height, width, 3], upright.

    Frame n is what is seen at n / fps seconds, or the first if nothing is seen yet.
    """
    written, pixels = 0, b""
    with av.open(picture) as source:
        for frame in _frames(source):
            number = round(_seconds(frame) * fps)
            while pixels and written < min(number, num_frames):
                frames.write(pixels)
                written += 1
            pixels = _upright(frame).tobytes()
    for _ in range(written, num_frames):
        frames.write(pixels)


def _demuxer(start: bytes) -> str | None:
    """Of the two that there are, by a file's first eight bytes."""
    if start[4:] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _MP4
    return _WEBM if start[:4] == b"\x1aE\xdf\xa3" else None  # the head of EBML


@dataclass(frozen=True)
class _Copy:
    """`rate` is what the clip says of itself; `shown` is how many packets have a frame that is seen. `had_sound`: the
    clip has a sound, which is left out."""

    container: str
    codec: str
    rate: Fraction | None
    shown: int
    had_sound: bool


def _copy(data: IO[bytes], demuxer: str, picture: IO[bytes]) -> _Copy:
    # Nothing but these bytes is read, whatever they refer to.
    with av.open(data, format=demuxer, options={"protocol_whitelist": "", "enable_drefs": "0"}) as source:
        stream = _picture_of(source.streams.video)
        codec = stream.codec.canonical_name
        container = _AV1[demuxer] if codec == "av1" else _CONTAINERS.get(codec)
        if container is None:
            raise _Refused(_CODECS, codec)
        _check_size(stream.codec_context.width, stream.codec_context.height)
        packets = _packets(source, stream)
        with av.open(picture, "w", format=container) as output:
            output.flags |= ContainerFlags.bitexact.value
            copy = output.add_stream_from_template(stream, opaque=True)
            if codec == "hevc":
                copy.codec_context.codec_tag = "hvc1"  # the form that Apple's players take
            for packet in packets:
                packet.stream = copy
                output.mux(packet)
        shown = sum(not packet.is_discard for packet in packets)
        return _Copy(container, codec, stream.average_rate, shown, bool(source.streams.audio))


def _picture_of(streams: tuple[VideoStream, ...]) -> VideoStream:
    for stream in streams:
        if not stream.disposition & Disposition.attached_pic:  # which is the cover of a piece of music
            if stream.codec_context is None:
                raise _Refused(_CODECS)
            return stream
    raise _Refused("a clip with a picture that moves; this one has none")


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _Refused(f"a clip has at most {MAX_PIXELS} pixels in a frame", f"{width}x{height}")
    if min(width, height) < MIN_SIDE:
        raise _Refused(f"a clip is at least {MIN_SIDE} pixels wide and high", f"{width}x{height}")


def _packets(source: InputContainer, stream: VideoStream) -> "list[Packet[Any]]":
    """All packets of the stream. They have both kinds of time, and what is seen first is seen at 0."""
    packets: list[Packet[Any]] = []
    ends, starts = [0.0], []
    for packet in source.demux():
        if not packet.size:
            continue
        if packet.is_corrupt or packet.pts is None:
            raise _Refused(_BROKEN)
        ends.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is stream:
            packets.append(packet)
            starts.append(float(packet.pts * packet.time_base))
        if len(packets) > MAX_FRAMES:
            raise _Refused(f"a clip has at most {MAX_FRAMES} frames")
    if not packets or len(packets) < stream.frames:
        raise _Refused(_BROKEN)
    # A webm need not say how long its last frame is seen.
    lost = _LOST_SECONDS + (max(starts) - min(starts)) / len(starts)
    if source.duration is not None and max(ends) < source.duration / av.time_base - lost:
        raise _Refused(_BROKEN)
    _set_times(packets)
    return packets


def _set_times(packets: "list[Packet[Any]]") -> None:
    times = [packet.pts for packet in packets if packet.pts is not None]
    shown = [time for time, packet in zip(times, packets, strict=True) if not packet.is_discard]
    if not shown:
        raise _Refused(_BROKEN)
    start = min(shown)
    decoded = [packet.dts for packet in packets if packet.dts is not None]
    if len(decoded) < len(packets):  # a webm has none: they are the times in order, but early enough
        decoded = sorted(times)
        early = max(one - other for one, other in zip(decoded, times, strict=True))
        decoded = [time - early for time in decoded]
    for packet, time, dts in zip(packets, times, decoded, strict=True):
        packet.pts, packet.dts = time - start, dts - start


def _decoded(picture: IO[bytes], copy: _Copy) -> Verdict:
    """What the copy decodes into."""
    times, sizes = [], set()
    with av.open(picture) as source:
        for frame in _frames(source):
            _check_size(frame.width, frame.height)
            times.append(_seconds(frame))
            sizes.add(_size(frame))
        if source.duration is None or source.duration <= 0:
            raise _Refused(_BROKEN)
        duration = Fraction(source.duration, av.time_base)
    if len(sizes) > 1:
        raise _Refused("a clip of one size", ", ".join(f"{width}x{height}" for width, height in sorted(sizes)))
    num_frames, rate = len(times), copy.rate
    # A decoder may lose frames without a word. VP8 alone has packets that are for other frames' sake.
    if num_frames > copy.shown or (num_frames < copy.shown and copy.codec != "vp8"):
        raise _Refused(_BROKEN)
    if num_frames < MIN_FRAMES:
        raise _Refused(f"a clip has at least {MIN_FRAMES} frames", str(num_frames))
    if duration > MAX_SECONDS:
        raise _Refused(f"a clip has at most {MAX_SECONDS} seconds", f"{float(duration):.2f}")
    if rate is None or round(duration * rate) != num_frames:
        rate = (num_frames / duration).limit_denominator(1001)
    if rate > MAX_FPS:
        raise _Refused(f"a clip has at most {MAX_FPS} frames per second", f"{float(rate):.2f}")
    varies = any(abs(time * rate - number) > Fraction(1, 2) for number, time in enumerate(times))
    notes = [f"The video's frame rate varies. It was taken at its average, {float(rate):.2f} fps."] if varies else []
    if copy.had_sound:
        notes.append("The video's own sound was replaced.")
    [(width, height)] = sizes
    return Verdict(copy.container, copy.codec, width, height, str(rate), num_frames, float(duration), tuple(notes))


def _frames(source: InputContainer) -> Iterator[VideoFrame]:
    stream = source.streams.video[0]
    stream.thread_type, stream.codec_context.thread_count = "SLICE", _THREADS
    # It takes no more pixels, even if they become more on the way, and conceals nothing that is broken.
    stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(2 * MAX_PIXELS)}
    yield from source.decode(stream)


def _seconds(frame: VideoFrame) -> Fraction:
    if frame.pts is None or frame.time_base is None:
        raise _Refused(_BROKEN)
    return frame.pts * frame.time_base


def _size(frame: VideoFrame) -> tuple[int, int]:
    """Width and height, when it is upright."""
    return (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """A telephone's camera turns what it shows, and not what it records."""
    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)).astype(np.uint8, copy=False)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Checks the file with the first descriptor, leaves a copy of its picture in the one with the second, and says the
    verdict as one line of JSON. Or, if a rate and a number of frames follow the limits, writes these frames there.

    The limits are bytes of memory and seconds of CPU time. If it would take more, it ends without a verdict.
    """
    source, target, memory_bytes, seconds = map(int, arguments[:4])
    frames = arguments[4:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MAX_BYTES, 2 * MAX_BYTES))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if frames:
            with open(source, "rb") as picture, open(target, "wb") as pixels:
                write_frames(picture, pixels, Fraction(frames[0]), int(frames[1]))
        else:
            with open(source, "rb") as data, open(target, "w+b") as picture:
                verdict = check(data, picture)
            print(json.dumps(asdict(verdict)))
    except MemoryError:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])

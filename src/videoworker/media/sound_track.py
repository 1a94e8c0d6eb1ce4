"""The sound track of a file whose picture is finished. The picture's packets are copied: they are not encoded again."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import Flags as ContainerFlags
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from videoworker.errors import Code, JobError
from videoworker.media import sound_codec
from videoworker.media.file import SAMPLE_RATE, SOUND_TOLERANCE
from videoworker.request import Container
from videoworker.watch import Watch

# What the demuxer tells of an mp4's own form, among its tags. The muxer writes that anew.
_NO_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands"})


def add_sound(
    path: Path,
    container: Container,
    waveform: NDArray[np.float32],
    watch: Watch,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Gives the silent file at `path` its sound: AAC in an mp4, Opus in a webm. `metadata` is added to its tags. Marks
    come after it: what is in the file besides streams and tags is lost.

    `waveform` is [1, samples] at `SAMPLE_RATE`, with a full scale of 1, and as long as the picture. If it would clip,
    all of it is made quieter. The new file takes the place of the old one when it is whole.

    Raises `JobError`: GENERATION_FAILED if a sample is no number, or if both have not the same length, or the watch's.
    """
    if not (np.isfinite(waveform.min()) and np.isfinite(waveform.max())):
        raise JobError(Code.GENERATION_FAILED, "The sound has samples that are not numbers.")
    partial = path.with_name(f"{path.name}.part")
    try:
        with av.open(path) as source:
            _check_length(source, waveform)
            sound = sound_codec.encode(waveform, container, watch)
            with av.open(partial, "w", format=container, options=_options(source, container)) as output:
                output.flags |= ContainerFlags.bitexact.value  # same picture and sound, same bytes
                output.metadata.update(_tags(source) | dict(metadata or {}))
                _copy(source, sound, output, container, watch)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_length(source: InputContainer, waveform: NDArray[np.float32]) -> None:
    assert source.duration is not None
    sound, picture = waveform.shape[1] / SAMPLE_RATE, source.duration / av.time_base
    if abs(sound - picture) > SOUND_TOLERANCE:
        raise JobError(Code.GENERATION_FAILED, f"The sound has {sound:.3f} seconds, and the picture {picture:.3f}.")


def _options(source: InputContainer, container: Container) -> dict[str, str]:
    if container == "webm":
        return {}
    time_base = source.streams.video[0].time_base
    assert time_base is not None
    clock = str(time_base.denominator)  # of all: then no duration is rounded
    return {
        "movflags": "+faststart+use_metadata_tags",
        "video_track_timescale": clock,
        "movie_timescale": clock,
    }


def _tags(source: InputContainer) -> dict[str, str]:
    return {name: value for name, value in source.metadata.items() if name not in _NO_TAGS}


def _copy(
    source: InputContainer, sound: "list[Packet[Any]]", output: OutputContainer, container: Container, watch: Watch
) -> None:
    """Writes the source's picture and the sound, in the order of time."""
    original = source.streams.video[0]
    picture = output.add_stream_from_template(original, opaque=True)
    if container == "mp4":
        picture.codec_context.codec_tag = original.codec_context.codec_tag  # some players tell HEVC's forms by it
    track = output.add_stream(sound_codec.ENCODERS[container], rate=SAMPLE_RATE)
    assert isinstance(track, AudioStream)
    sound_codec.configure(track.codec_context, container)
    for packet in heapq.merge(_of(picture, source.demux(original)), _of(track, sound), key=_time):
        output.mux(packet)
        watch.check()


def _of(stream: Stream, packets: "Iterable[Packet[Any]]") -> "Iterator[Packet[Any]]":
    """The packets, as those of `stream`."""
    for packet in packets:
        if packet.dts is not None:  # the last one that a demuxer gives is empty
            packet.stream = stream
            yield packet


def _time(packet: "Packet[Any]") -> Fraction:
    assert packet.dts is not None
    return packet.dts * packet.time_base

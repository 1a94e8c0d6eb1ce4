"""Sound as a file's codec has it: AAC in an mp4, Opus in a webm. What is played from it does not clip."""

from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from numpy.typing import NDArray

from videoworker.media.file import SAMPLE_RATE, SOUND_BITS_PER_SECOND
from videoworker.request import Container
from videoworker.watch import Watch

ENCODERS: dict[Container, str] = {"mp4": "aac", "webm": "libopus"}
_DECODERS: dict[Container, str] = {"mp4": "aac", "webm": "opus"}  # both give floats, so that nothing clips in here
_SAMPLE_FORMATS: dict[Container, str] = {"mp4": "fltp", "webm": "flt"}

# FFmpeg's AAC would put noise of its own in the place of noise, and that has higher peaks.
_OPTIONS: dict[Container, dict[str, str]] = {"mp4": {"aac_pns": "0"}, "webm": {}}

# Of what is encoded. EBU R 128 leaves 1 dB below full scale to what coding adds.
_HIGHEST_PEAK = 10 ** (-1 / 20)

_CHUNK_SAMPLES = SAMPLE_RATE  # between two looks at the watch


def configure(encoder: AudioCodecContext, container: Container) -> None:
    """Makes a new context of `ENCODERS` one for mono sound at `SAMPLE_RATE`."""
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", _SAMPLE_FORMATS[container]
    encoder.bit_rate, encoder.options = SOUND_BITS_PER_SECOND[container], _OPTIONS[container]
    encoder.flags |= Flags.bitexact | Flags.global_header


def encode(waveform: NDArray[np.float32], container: Container, watch: Watch) -> "list[Packet[Any]]":
    """The packets of `waveform`, [1, samples] at `SAMPLE_RATE`, whose full scale is 1.

    If they would decode into more than full scale, all of the sound is made quieter. Nothing makes it louder. Raises
    `JobError`: the watch's.
    """
    gain = _HIGHEST_PEAK / max(float(waveform.max()), float(-waveform.min()), _HIGHEST_PEAK)
    while True:
        packets, extradata = _encode(waveform, gain, container, watch)
        peak = _peak(packets, extradata, container, watch)
        if peak <= 1:
            return packets
        gain *= _HIGHEST_PEAK / peak


def _encode(
    waveform: NDArray[np.float32], gain: float, container: Container, watch: Watch
) -> "tuple[list[Packet[Any]], bytes | None]":
    encoder = _created(ENCODERS[container], "w")
    configure(encoder, container)
    packets = []
    for start in range(0, waveform.shape[1], _CHUNK_SAMPLES):
        watch.check()
        samples = np.ascontiguousarray(waveform[:, start : start + _CHUNK_SAMPLES] * np.float32(gain))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        packets += encoder.encode(frame)
    return packets + encoder.encode(None), encoder.extradata


def _peak(packets: "list[Packet[Any]]", extradata: bytes | None, container: Container, watch: Watch) -> float:
    """The highest sample that a player makes of the packets."""
    decoder = _created(_DECODERS[container], "r")
    decoder.extradata, decoder.sample_rate, decoder.layout = extradata, SAMPLE_RATE, "mono"
    peak = 0.0
    for packet in (*packets, None):
        watch.check()
        for frame in decoder.decode(packet):
            peak = max(peak, float(np.abs(frame.to_ndarray()).max()))
    return peak


def _created(codec: str, mode: str) -> AudioCodecContext:
    context = CodecContext.create(codec, "w" if mode == "w" else "r")
    assert isinstance(context, AudioCodecContext)
    return context

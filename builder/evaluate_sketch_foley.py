"""Measures `sketch-foley` on scenes it was never trained on, from the finished files alone.

Run as `python -m builder.evaluate_sketch_foley`. Videos are drawn, or made by `sketch` (`--by sketch`). Their sounds go
the product's whole way. What is asked for is known; what is seen and heard is read from the files. A long sound is made
in windows (`--seconds 30`). Then timbre and silence are measured in each.
"""

import collections
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from builder.evaluate_sketch import read
from builder.sketch.prompts import sentence
from builder.sketch.scenes import all_combinations, draw_centred_scene, draw_scene, is_held_out, render
from builder.sketch_foley.measure import Heard, Samples, bounces_seen, listen, read_sound
from builder.sketch_foley.prompts import SILENCE, TIMBRE_WORDS, phrase
from builder.sketch_foley.sounds import HOP
from builder.sketch_foley.text_stage import TIMBRE_OF_SHAPE
from videoworker import job
from videoworker.engine.engine import Engine
from videoworker.families.foley.windows import windows
from videoworker.families.sound_family import Footage
from videoworker.media.file import VideoFile, VideoFormat
from videoworker.media.sound_track import add_sound
from videoworker.models.sketch import SKETCH
from videoworker.planning.plan import make_plan
from videoworker.request import AudioRequest, VideoRequest
from videoworker.settings import settings
from videoworker.watch import Watch

NEAR = 0.06  # seconds between a bounce and what is heard of it, at most
_HIGHEST = -50.0  # dBFS of silence
_SWELL, _DEPTH = 3.0, 6.0  # dB by which growing swells, shrinking fades, and spinning beats, at least
_PITCH_OF = {"up": "rising", "down": "falling"}
_TIMBRES = [timbre for timbre in TIMBRE_WORDS if timbre != SILENCE]


class Maker(StrEnum):
    DRAWING = "drawing"
    SKETCH = "sketch"


@dataclass(frozen=True)
class Case:
    """One clip: a held-out (shape, colour, background, motion), the audio prompt, which may be empty, and the timbre
    that is to be heard."""

    number: int
    combination: tuple[str, str, str, str]
    prompt: str
    timbre: str

    @property
    def motion(self) -> str:
        return self.combination[3]


def cases(count: int, seed: int) -> list[Case]:
    """Half of them bounce, rise or fall, as the bar is about these. Each timbre has its share, silence a tenth, and so
    has no prompt at all."""
    rng = random.Random(f"evaluate/{seed}")
    by_motion = collections.defaultdict(list)
    for combination in all_combinations():
        if is_held_out(combination):
            by_motion[combination[3]].append(combination)
    motions = [*("bouncing", "up", "bouncing", "down"), *by_motion]
    made = []
    for number in range(count):
        combination = rng.choice(by_motion[motions[number % len(motions)]])
        timbre = rng.choice([*_TIMBRES, *_TIMBRES, SILENCE, ""])
        prompt = rng.choice((timbre, phrase(rng, timbre))) if timbre else ""
        made.append(Case(number, combination, prompt, timbre or TIMBRE_OF_SHAPE[combination[0]]))
    return made


@dataclass(frozen=True)
class Wanted:
    """What is asked for of every clip; None: the models' defaults. Steps and guidance are the sound's."""

    seconds: float | None = None
    steps: int | None = None
    guidance_scale: float | None = None


class Studio:
    """Makes the clips of cases."""

    def __init__(self, maker: Maker, seed: int, wanted: Wanted = Wanted()) -> None:
        self._maker, self._seed, self._wanted = maker, seed, wanted
        self._engine = Engine(settings())

    def make(self, case: Case, folder: Path) -> Path:
        """The finished file."""
        rng = random.Random(f"studio/{self._seed}/{case.number}")
        request = VideoRequest(
            "native",
            sentence(rng, *case.combination),
            model=SKETCH.name,
            seed=self._seed * 1000 + case.number,
            duration=self._wanted.seconds,
            audio=AudioRequest(case.prompt, None, self._wanted.guidance_scale, self._wanted.steps),
        )
        watch = Watch("evaluate", lambda _: None, 3600)
        if self._maker is Maker.DRAWING:
            return self._drawn(rng, case, request, folder, watch)
        current = settings().model_copy(update={"output_dir": folder})
        job.run({"id": "evaluate"}, request, watch, self._engine, current)
        return folder / "evaluate" / "video.mp4"

    def _drawn(self, rng: random.Random, case: Case, request: VideoRequest, folder: Path, watch: Watch) -> Path:
        """A file of drawn frames, and then the sound of the frames in the file."""
        plan = make_plan(request, self._engine.survey())
        prepared = self._engine.prepare(plan, watch)
        assert prepared.sound is not None
        path, canvas = folder / "video.mp4", plan.canvas
        draw = draw_scene  # what moves stays in the picture, however long it is
        if self._wanted.seconds is None:
            draw = rng.choice((draw_scene, draw_centred_scene))
        scene = draw(rng, case.combination, canvas.width / canvas.height, plan.num_frames)
        pixels = render(scene, canvas.native_width, canvas.native_height, plan.num_frames)
        with VideoFile(path, VideoFormat("mp4", canvas, plan.fps, plan.num_frames, has_audio=True)) as file:
            for frame in ((pixels + 1) * 127.5).round().byte().permute(1, 2, 3, 0).numpy():
                file.write(frame)
            file.close()
        with tempfile.TemporaryFile() as seen:
            viewer = self._engine.sounds.viewer(prepared.sound, seen)
            for frame in read(path, canvas.height):
                viewer.see(frame)
            add_sound(path, "mp4", self._engine.sounds.make(prepared.sound, viewer, case.number, watch), watch)
        return path


def in_windows(samples: Samples, footage: Footage) -> list[Heard]:
    """What is heard in each window of the sound."""
    return [listen(samples[one.start * HOP : (one.start + one.length) * HOP]) for one in windows(footage)]


def judged(case: Case, heard: Heard, parts: list[Heard], bounces: list[float]) -> Iterator[tuple[str, bool]]:
    """What the clip is measured by, and whether it is right. `heard` is the whole sound, `parts` its windows."""
    if case.timbre == SILENCE:
        for part in parts:
            yield f"silence below {_HIGHEST:g} dBFS", part.loudness < _HIGHEST
        return
    name = "timbre" if case.prompt else "timbre without a prompt"
    is_heard = bool(bounces) or case.motion != "bouncing"
    if is_heard:
        for part in parts:
            yield name, part.timbre == case.timbre
    for bounce in bounces:
        yield f"hit within {NEAR * 1000:.0f} ms of a bounce", any(abs(one - bounce) <= NEAR for one in heard.onsets)
    if case.motion == "bouncing":
        for onset in heard.onsets:
            yield "heard hit is a bounce", any(abs(onset - one) <= 2 * NEAR for one in bounces)
    elif case.motion in _PITCH_OF:
        yield "rising and falling", heard.pitch == _PITCH_OF[case.motion]
    elif case.motion in ("left", "right", "still"):
        yield "steady", heard.pitch == "steady"
    elif case.motion == "spinning":
        yield "beats with spinning", heard.depth > _DEPTH
    elif len(parts) == 1:  # in a longer clip it ends before the second window
        yield "swells or fades", heard.swell > _SWELL if case.motion == "growing" else heard.swell < -_SWELL


def main(
    by: Annotated[Maker, typer.Option(help="who makes the videos")] = Maker.DRAWING,
    count: int = 96,
    seed: int = 0,
    seconds: Annotated[float | None, typer.Option(help="of each video; the model's default if absent")] = None,
    steps: Annotated[int | None, typer.Option(help="steps of the sound; the model's default if absent")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="of the sound; the model's default if absent")] = None,
) -> None:
    """Prints the share of clips that sound as they should."""
    studio = Studio(by, seed, Wanted(seconds, steps, guidance_scale))
    right: collections.Counter[str] = collections.Counter()
    asked: collections.Counter[str] = collections.Counter()
    for case in cases(count, seed):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            path = studio.make(case, Path(folder))
            taken = time.monotonic() - started
            frames, samples, bounces = read(path, 128), read_sound(path), list[float]()
            heard, parts = listen(samples), in_windows(samples, Footage(len(frames), Fraction(SKETCH.fps)))
            if case.motion == "bouncing":
                bounces = bounces_seen(frames, SKETCH.fps)
        misses = []
        for name, is_right in judged(case, heard, parts, bounces):
            asked[name] += 1
            right[name] += is_right
            misses += [] if is_right else [name]
        print(f"{case.number + 1}/{count} {' '.join(case.combination)}, {case.prompt!r} {taken:.1f} s: ", end="")
        print(f"not {', '.join(misses)}; {heard}, {bounces}" if misses else "right", flush=True)
    print(f"{count} held-out scenes, videos by {by}")
    for name in sorted(asked):
        print(f"  {name}: {right[name]} of {asked[name]}, {right[name] / asked[name]:.1%}")


if __name__ == "__main__":
    typer.run(main)

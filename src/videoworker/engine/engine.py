"""The engine: makes the frames and the sounds of plans on one device. One thread at a time may use it."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
import torch

from videoworker.canvas import Frames, Picture
from videoworker.engine.clip import Clip, Making, segment_frames
from videoworker.engine.device import Device, Loaded
from videoworker.engine.sounds import Sounds, SoundTask
from videoworker.engine.timings import Timings, timings_file
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.families.sound_family import Footage
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.piece import LEAST, Piece
from videoworker.models.sound_model import SoundModel
from videoworker.models.upscaler import Upscaler
from videoworker.models.video_model import VideoModel
from videoworker.planning.machine import Machine, without_gpu
from videoworker.planning.memory import GIB
from videoworker.planning.pace import measured
from videoworker.planning.placement import (
    LADDER,
    Placement,
    activations,
    allowed,
    best_placement,
    default_activations,
    largest_piece,
    leaner,
    needed,
    on_processor,
    with_room,
)
from videoworker.planning.plan import Plan
from videoworker.planning.processor_seconds import processor_seconds
from videoworker.planning.sound import SoundPlan
from videoworker.planning.work import Work, video_work
from videoworker.request import Container, Stage
from videoworker.sampling.seeds import seeded_generator
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.weights.find import FETCHED, LocalCheckpoints
from videoworker.weights.places import size
from videoworker.weights.revision import revision

# With more bytes of weights than this, a clip would take hours without a GPU.
_LARGEST_ON_CPU = 2_000_000_000

_log = structlog.get_logger()


@dataclass(frozen=True)
class Source:
    """Where a whole checkpoint lies on this machine, and which revision it is. It is of a variant, perhaps joined with
    the one of super-resolution."""

    checkpoint: Checkpoint
    folder: Path
    revision: str


@dataclass(frozen=True)
class Prepared:
    """A plan, for each checkpoint that it needs its source, where the video's networks are to lie on the device, of
    which they need `video_bytes` in all, and how much is decoded at once. `sound` is None if the video is silent."""

    plan: Plan
    sources: Mapping[Checkpoint, Source]
    placements: Mapping[Checkpoint, Placement]
    pieces: Mapping[Checkpoint, Piece]
    video_bytes: int
    sound: SoundTask | None

    @property
    def revision(self) -> str:
        """The revisions of all checkpoints that the clip is made with, in the order in which they are used."""
        return ", ".join(dict.fromkeys(source.revision for source in self.sources.values()))


class Engine:
    """Makes frames. `sounds` makes the sound of a video whose frames were made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._device = Device(cpu_for_all=settings.cpu == "allow")
        self._timings = Timings(timings_file(settings), self._device.name)
        self.sounds = Sounds(self._device)
        self._local = LocalCheckpoints(settings)
        self._sources: dict[Checkpoint, Source] = {}  # as they were when the checkpoints were last checked

    @property
    def loaded(self) -> Checkpoint | None:
        """The checkpoint whose networks lie on the device."""
        loaded = self._device.loaded
        return None if loaded is None else loaded.checkpoint

    def survey(self) -> Machine:
        """The machine as it is now, for planning. `prepare` does not search again for what is found here."""
        self._local = LocalCheckpoints(self._settings)
        return Machine(
            is_installed=lambda checkpoint: self._is_loaded(checkpoint) or self._local.locate(checkpoint) is not None,
            may_fetch=self._settings.allow_download,
            has_gpu=self._device.runs_all,
        )

    def offered(self) -> list[str]:
        """The names of the models that jobs get here: the one of the setting MODEL, or all that can be used."""
        return [self._settings.model] if self._settings.model else self.survey().usable()

    def load(self, model: VideoModel | SoundModel, watch: Watch) -> None:
        """Puts a variant's weights on the device before the first job.

        Raises `JobError`: MODEL_NOT_LOADED if they are absent or not whole, GPU_UNAVAILABLE if the machine cannot run
        them, or the watch's.
        """
        if isinstance(model, SoundModel):
            self.sounds.load(model, self._bring(model, watch).folder, watch)
            return
        larger = None
        if model.upscaler is not None and self._local.locate(model.upscaler.checkpoint) is not None:
            larger, _ = self._bring_upscaler(model.upscaler, watch)
        source = self._whole(model, larger, watch)
        self._use(model, source, self._first_placement(model, source), watch)

    def work(self, prepared: Prepared, container: Container) -> Work:
        """What a job with this plan computes here. Weights that were fetched for it do not count: the next job that
        loads them has them."""
        model = prepared.plan.model
        wanted = prepared.placements[model.checkpoint]
        if (placed := self._device.placed(prepared.sources[model.checkpoint].checkpoint, wanted)) is not None:
            return video_work(prepared.plan, container, placed)
        found = self._local.locate(model.checkpoint)
        return video_work(prepared.plan, container, wanted, loads=found is not None and found.place != FETCHED)

    def expected(self, work: Work, plan: Plan | None = None) -> dict[Stage, float] | None:
        """Seconds by stage, by what jobs have taken on this kind of device; else, if the work is of a `plan` that would
        run faster on a GPU, by what the processor can do. None if neither is known."""
        known = self._timings.pace.expected(work)
        if known is not None or plan is None or self._device.is_gpu or not plan.model.needs_gpu:
            return known
        return processor_seconds(plan, self._device.layer_flops)

    def learn(self, work: Work, timings: Mapping[str, float]) -> None:
        """Learns what a job took: seconds by stage."""
        self._timings.add(measured(work, timings))

    def prepare(self, plan: Plan, watch: Watch) -> Prepared:
        """Brings all checkpoints that a plan needs to this machine, before minutes are spent on its first segment. If
        there is no room for super-resolution, or if its weights cannot be had, the plan is made without it.

        Raises `JobError` as `load` does, OUT_OF_MEMORY if the clip is too large for the device, and INVALID_FIELD if
        the worker's placement rounds weights that must stay exact.
        """
        if self._settings.placement is None and self._device.is_gpu:
            plan = with_room(plan, self._device.free_bytes)
        larger = None
        if plan.super_resolution is not None:
            larger, why = self._bring_upscaler(plan.super_resolution.upscaler, watch)
            plan = plan if larger is not None else plan.without_super_resolution(why)
        sources = {model.checkpoint: self._whole(model, larger, watch) for model in plan.models}
        beside = activations(plan)
        placements = {
            model.checkpoint: self._placement(model, sources[model.checkpoint], beside, allowed(plan))
            for model in plan.models
        }
        networks = {
            model.checkpoint: self._needed(model, sources[model.checkpoint], placements[model.checkpoint])
            for model in plan.models
        }
        video_bytes = max(networks.values()) + beside
        pieces = self._pieces(plan, networks, video_bytes)
        if plan.sound is None:
            return Prepared(plan, sources, placements, pieces, video_bytes, None)
        source = sources[plan.sound.model.checkpoint] = self._bring(plan.sound.model, watch)
        footage = Footage(plan.num_frames, Fraction(plan.fps))
        sound = self.sounds.prepare(plan.sound, source.folder, footage, video_bytes)
        return Prepared(plan, sources, placements, pieces, video_bytes, sound)

    def prepare_sound(self, plan: SoundPlan, footage: Footage, watch: Watch) -> tuple[SoundTask, str]:
        """The sound of a clip that is not made here, and the revision of its model. Raises `JobError` as `prepare`
        does."""
        source = self._bring(plan.model, watch)
        return self.sounds.prepare(plan, source.folder, footage, None), source.revision

    def frames(self, prepared: Prepared, clip: Clip, watch: Watch) -> Iterator[Picture]:
        """The plan's frames as they are decoded. Raises `JobError`.

        If memory runs out, the clip is made once more with a leaner placement if there is one, in the least pieces. No
        frame is yielded twice.
        """
        num_yielded = 0
        self.sounds.make_room(prepared.video_bytes)
        try:
            for frame in self._frames(prepared, clip, watch):
                yield frame
                num_yielded += 1
            return
        except torch.OutOfMemoryError as error:
            placement, loaded = self._device.placement, [source.checkpoint for source in prepared.sources.values()]
            next_placement = leaner(placement, *loaded)
            must_be_exact = num_yielded > 0 or prepared.plan.sampling.effort == "exact"
            if next_placement is None or (must_be_exact and not next_placement.is_exact):
                next_placement = placement
            smaller = {checkpoint: _smaller(piece, num_yielded > 0) for checkpoint, piece in prepared.pieces.items()}
            if next_placement is placement and smaller == prepared.pieces:
                raise self._out_of_memory() from error
            _log.warning("out of memory", placement=placement, next=next_placement)
        self.sounds.drop()
        self._device.drop()  # some layers may have been left halfway
        watch.note(f"The GPU's memory ran out; made again with the placement {next_placement}.")
        leanly = replace(prepared, placements=dict.fromkeys(prepared.placements, next_placement), pieces=smaller)
        try:
            yield from islice(self._frames(leanly, clip, watch), num_yielded, None)
        except torch.OutOfMemoryError as error:
            raise self._out_of_memory() from error

    def _frames(self, prepared: Prepared, clip: Clip, watch: Watch) -> Iterator[Picture]:
        """As `frames`, but tries once."""
        plan = prepared.plan
        prompts = clip.prompts(plan.sampling.guidance_scale)
        generator = seeded_generator(clip.seed)
        known = None if clip.first_frame is None else clip.first_frame[None]
        for index in range(len(plan.segments)):
            piece = prepared.pieces[plan.model_of(index).checkpoint]
            making = Making(plan, index, prompts, known, generator, piece)
            known = yield from self._segment(prepared, making, watch)

    def _segment(self, prepared: Prepared, making: Making, watch: Watch) -> Generator[Picture, None, Frames | None]:
        """As `segment_frames`, with the networks that the segment needs. Nobody else holds them: those of the segment
        before are freed before the next are read."""
        model = prepared.plan.model_of(making.index)
        source, placement = prepared.sources[model.checkpoint], prepared.placements[model.checkpoint]
        loaded = self._use(model, source, placement, watch)
        if making.index == 0 and "load" in watch.timings:
            watch.step("load", 1, 1)
        if not loaded.placement.is_exact:
            watch.note("The model's weights were rounded to 8 bits, to fit into the GPU's memory.")
        return (yield from segment_frames(loaded, making, watch))

    def _use(self, model: VideoModel, source: Source, placement: Placement, watch: Watch) -> Loaded[Any, Any]:
        """The networks of the source, which is of the model."""
        return self._device.use(replace(model, checkpoint=source.checkpoint), source.folder, placement, watch)

    def _bring_upscaler(self, upscaler: Upscaler, watch: Watch) -> tuple[Source | None, str]:
        """The source of super-resolution. If it cannot be had, which is no reason to make no video: why."""
        try:
            return self._bring(upscaler, watch), ""
        except JobError as error:
            if error.code is not Code.MODEL_NOT_LOADED:
                raise
            _log.warning("no super-resolution", reason=error.message)
            return None, error.message

    def _whole(self, model: VideoModel, larger: Source | None, watch: Watch) -> Source:
        """The source of the model's networks, and of those of super-resolution, if that has one or if they are loaded
        with the model's own."""
        source, loaded = self._bring(model, watch), self.loaded
        if larger is not None:
            checkpoint = model.checkpoint.joined(larger.checkpoint, larger.folder)
            return Source(checkpoint, source.folder, f"{source.revision}, {larger.revision}")
        return replace(source, checkpoint=loaded) if loaded and loaded.has(model.checkpoint) else source

    def _is_loaded(self, checkpoint: Checkpoint) -> bool:
        return any(loaded is not None and loaded.has(checkpoint) for loaded in (self.loaded, self.sounds.loaded))

    def _bring(self, model: VideoModel | SoundModel | Upscaler, watch: Watch) -> Source:
        """The source of the model's checkpoint, whole. If it is loaded, it was whole, and is not looked at again."""
        checkpoint = model.checkpoint
        if self._is_loaded(checkpoint):
            return self._sources[checkpoint]
        with watch.stage("load"):
            folder = self._local.bring(checkpoint, watch).folder
            source = self._sources[checkpoint] = Source(checkpoint, folder, revision(folder))
        if not self._device.runs_all and size(checkpoint, folder) > _LARGEST_ON_CPU:
            raise without_gpu(model.name)
        return source

    def _first_placement(self, model: VideoModel, source: Source) -> Placement:
        """For the jobs to come. If the model's default clip is too large, smaller ones may still fit."""
        try:
            return self._placement(model, source, default_activations(model))
        except JobError as error:
            _log.warning("placement", reason=error.message)
            return Placement.GROUP_OFFLOAD if self._device.is_gpu else Placement.MAPPED

    def _placement(
        self, model: VideoModel, source: Source, activation_bytes: int, among: Sequence[Placement] = LADDER
    ) -> Placement:
        """The operator's, or the best one `among` those that are allowed. Raises `JobError` OUT_OF_MEMORY if there is
        none, or INVALID_FIELD if the operator's is none for exact weights."""
        if self._settings.placement is not None:
            forced = Placement(self._settings.placement)
            if not (forced.is_exact or forced in among):
                others = "full or fast: this worker's PLACEMENT rounds the weights"
                raise JobError(Code.INVALID_FIELD, f"effort: {others}", (FieldProblem("effort", "exact", others),))
            return forced
        if not self._device.runs_all:
            return among[0]
        if not self._device.is_gpu:
            among = on_processor(among)
        weights, free = self._device.weight_bytes(source.checkpoint, source.folder), self._device.free_bytes
        chosen = best_placement(weights, activation_bytes, free, among, self._device.memory)
        gib = {
            "needed_gib": round(needed(weights, activation_bytes, chosen) / GIB, 1),
            "free_gib": round(free / GIB, 1),
        }
        _log.info("placement", model=model.name, placement=chosen, **gib)
        return chosen

    def _pieces(self, plan: Plan, networks: Mapping[Checkpoint, int], video_bytes: int) -> dict[Checkpoint, Piece]:
        """The largest for which there is memory beside the bytes of each checkpoint's networks. Where nothing is known
        of it, and to save it, the least."""
        if plan.low_vram or not self._device.is_gpu:
            return dict.fromkeys(networks, LEAST)
        free = self._device.free_bytes - self.sounds.staying_bytes(video_bytes)
        pixels = plan.decoded.native_pixels
        return {
            model.checkpoint: largest_piece(model, pixels, free - networks[model.checkpoint]) for model in plan.models
        }

    def _needed(self, model: VideoModel, source: Source, placement: Placement) -> int:
        """Bytes of device memory that a model needs, without those for a clip."""
        return needed(self._device.weight_bytes(source.checkpoint, source.folder), 0, placement)

    def _out_of_memory(self) -> JobError:
        """The error that ends a clip. The networks are dropped, because some layers may have been left halfway."""
        self._device.drop()
        return JobError(
            Code.OUT_OF_MEMORY,
            f"Out of GPU memory, with the placement {self._device.placement} too. Reduce resolution or duration.",
            refresh_worker=True,
        )


def _smaller(piece: Piece, goes_on: bool) -> Piece:
    """The least one. Of a clip that goes on, the pictures stay as they are."""
    return replace(LEAST, whole_picture=piece.whole_picture and goes_on)

"""`videoworker estimate`: the memory and the time that a job would take, before it is run."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from videoworker import apis
from videoworker.errors import JobError
from videoworker.models.checkpoint import Checkpoint, Role
from videoworker.planning.machine import Machine
from videoworker.planning.memory import GIB
from videoworker.planning.placement import (
    LADDER,
    ON_PROCESSOR,
    Placement,
    WeightBytes,
    activations,
    allowed,
    best_placement,
    declared_bytes,
    declared_sizes,
    ladder,
    needed,
    on_processor,
    together,
    with_room,
)
from videoworker.planning.plan import Plan, make_plan, needed_sound_model
from videoworker.planning.processor_seconds import processor_seconds
from videoworker.planning.published_seconds import estimates
from videoworker.planning.sound import SoundPlan, plan_sound, room_for
from videoworker.planning.work import video_work
from videoworker.request import Stage
from videoworker.settings import Settings, settings
from videoworker.weights.places import locate


def estimate(
    job: Annotated[str, typer.Argument(help="a job's `input` as JSON")],
    memory: Annotated[
        float | None, typer.Option(min=0, help="GiB that are free on the GPU; by default those of this machine's")
    ] = None,
) -> None:
    """Prints the model, the GiB that each placement of its weights needs, which one is taken, and seconds. If the job
    adds sound to a video, it prints what the sound needs."""
    current = settings()
    try:
        job_input = json.loads(job)
    except ValueError as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint="JOB") from error
    request = apis.select(job_input, current.api).parse(job_input)

    from videoworker.engine.hardware import Hardware  # torch takes a second to import, and other commands do without
    from videoworker.engine.timings import Timings, timings_file

    hardware = Hardware(cpu_for_all=current.cpu == "allow")
    on_cpu = memory is None and hardware.runs_all and not hardware.is_gpu
    machine = Machine(
        is_installed=lambda checkpoint: locate(checkpoint, current) is not None,
        may_fetch=True,
        has_gpu=hardware.runs_all or memory is not None,
    )
    free = None if memory is None else round(memory * GIB)
    if free is None and hardware.runs_all:
        free = hardware.free_bytes
    if request.video is not None and request.audio is not None:
        for line in _sound(plan_sound(request.audio, needed_sound_model(machine, current.model), 0.0), 0, free):
            typer.echo(line)
        return
    plan = make_plan(request, machine, current.model, current.effort)
    if free is not None and current.placement is None and not on_cpu:
        plan = with_room(plan, free)
    declared = hardware.declared_bytes if on_cpu else declared_bytes
    weights, source = _weights(plan, hardware.weight_bytes, declared, current)
    room = _Room(free, on_processor(allowed(plan)) if on_cpu else allowed(plan), "memory" if on_cpu else "GPU memory")
    on_gpu = ladder(plan.model.checkpoint) if plan.super_resolution is None else LADDER
    listed = ON_PROCESSOR if on_cpu else on_gpu
    taken, expected = _taken(plan, weights, room, current), None
    if memory is None or hardware.is_gpu:
        work = video_work(plan, request.container, taken)
        expected = Timings(timings_file(current), hardware.name).pace.expected(work)
    seconds = _seconds(plan, expected)
    if expected is None and on_cpu and plan.model.needs_gpu:
        seconds = _seconds_here(plan, hardware.layer_flops)
    for line in (*_needs(plan, weights, source, listed), *_placement(plan, weights, room, current), *seconds):
        typer.echo(line)
    if plan.sound is not None:
        for line in _sound(plan.sound, needed(weights, activations(plan), taken), free):
            typer.echo(line)
    elif request.audio is not None:
        typer.echo("sound      none: a GPU makes it; --memory says how many GiB are free on one")


def _weights(
    plan: Plan,
    counted: Callable[[Checkpoint, Path], WeightBytes],
    declared: Callable[[Checkpoint], WeightBytes],
    current: Settings,
) -> tuple[WeightBytes, str]:
    """The bytes of all networks that are loaded together, and where that is from. `counted` are those of files,
    `declared` those of what is not installed."""
    checkpoints = [plan.model.checkpoint]
    if plan.super_resolution is not None:
        checkpoints.append(plan.super_resolution.upscaler.checkpoint)
    found = [locate(checkpoint, current) for checkpoint in checkpoints]
    sizes = [
        counted(checkpoint, place.folder) if place else declared(checkpoint)
        for checkpoint, place in zip(checkpoints, found, strict=True)
    ]
    places = ["as declared: they are not installed" if place is None else f"found: {place.place}" for place in found]
    return together(*sizes), "; ".join(dict.fromkeys(places))


@dataclass(frozen=True)
class _Room:
    """Bytes that are free for a clip, None if there is no device; the placements that it may have; and what the
    memory is called."""

    free: int | None
    among: tuple[Placement, ...]
    memory: str

    def best(self, plan: Plan, weights: WeightBytes) -> Placement:
        """Raises `JobError` as `best_placement` does."""
        if self.free is None:
            return self.among[0]
        return best_placement(weights, activations(plan), self.free, self.among, self.memory)


def _needs(plan: Plan, weights: WeightBytes, source: str, placements: tuple[Placement, ...]) -> Iterator[str]:
    canvas = plan.canvas
    segments = f" in {len(plan.segments)} segments" if len(plan.segments) > 1 else ""
    yield f"model      {plan.model.checkpoint.title}"
    yield (
        f"clip       {canvas.native_width}x{canvas.native_height}, {plan.num_frames} frames{segments}, "
        f"{plan.sampling.steps} steps, effort {plan.sampling.effort}: {plan.sampling.predictions} predictions"
    )
    if (larger := plan.super_resolution) is not None:
        size = f"{larger.canvas.native_width}x{larger.canvas.native_height}"
        yield f"larger     {size}, {larger.sampling.steps} steps of super-resolution"
    yield f"weights    {weights.total / GIB:.1f} GiB ({source})"
    beside = activations(plan)
    yield f"beside     {beside / GIB:.1f} GiB"
    for placement in placements:
        yield f"  {placement:<22}{needed(weights, beside, placement) / GIB:6.1f} GiB"


def _placement(plan: Plan, weights: WeightBytes, room: _Room, current: Settings) -> Iterator[str]:
    if current.placement is not None:
        yield f"placement  {current.placement} (as PLACEMENT says)"
        return
    if room.free is None:
        yield (
            "placement  not known: there is no GPU here; --memory says how many GiB are free on one, and CPU=allow "
            "lets the processor make it"
        )
        return
    try:
        chosen = room.best(plan, weights)
    except JobError as error:
        yield f"placement  none: {error.message}"
        return
    yield f"placement  {chosen} ({room.free / GIB:.1f} GiB are free)"
    if chosen is Placement.MAPPED:
        yield from _files(plan, room.free - needed(weights, activations(plan), chosen))


def _files(plan: Plan, left: int) -> Iterator[str]:
    """What the files of a step's network ask for: `left` bytes are free for them."""
    read = max(one.size for one in plan.model.checkpoint.components if one.role is Role.DENOISER)
    again = "stay in memory" if read <= left else "are read again with every step, as far as memory cannot hold them"
    yield f"files      {read / GIB:.1f} GiB of the transformer, which {again}"


def _taken(plan: Plan, weights: WeightBytes, room: _Room, current: Settings) -> Placement:
    """The placement that is taken; the leanest if there is room for none."""
    if current.placement is not None:
        return Placement(current.placement)
    try:
        return room.best(plan, weights)
    except JobError:
        return room.among[-1]


def _sound(sound: SoundPlan, video: int, free: int | None) -> Iterator[str]:
    """What each part of the sound model needs, as declared, and what lies on the GPU meanwhile."""
    parts = sound.model.bytes_by_part(declared_sizes(sound.model.checkpoint))
    yield f"sound      {sound.model.checkpoint.title}, {sound.sampling.steps} steps"
    for part, size in parts.items():
        yield f"  {part:<22}{(size + sound.model.activation_bytes(part)) / GIB:6.1f} GiB"
    if free is None:
        return
    try:
        yield f"room       {room_for(sound.model, parts, video, free)} ({free / GIB:.1f} GiB are free)"
    except JobError as error:
        yield f"room       none: {error.message}"


def _seconds(plan: Plan, expected: Mapping[Stage, float] | None) -> Iterator[str]:
    """`expected`: by stage, as jobs took here; None if that is not known, and what is published must do."""
    if expected is not None:
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in expected.items())
        yield f"seconds    about {sum(expected.values()):.1f} here, as the last jobs took ({stages})"
        return
    if not plan.model.figures:
        yield "seconds    not known: nobody has published them for this model"
    for estimate in estimates(plan):
        figure = estimate.figure
        clip = f"{figure.width}x{figure.height}, {figure.num_frames} frames, {figure.steps} steps"
        yield f"seconds    {estimate} ({figure.seconds:g} for {clip}: {figure.source})"


def _seconds_here(plan: Plan, layer_flops: float) -> Iterator[str]:
    """On this processor, which does so many operations in a second."""
    stages = processor_seconds(plan, layer_flops)
    if stages is None:
        yield "seconds    not known: nobody has counted what this model computes"
        return
    seconds = sum(stages.values())
    yield f"seconds    about {seconds:.0f} ({seconds / 60:.0f} minutes) on this processor, when nothing else uses it"

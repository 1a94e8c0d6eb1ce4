"""`videoworker estimate`: what a job would take, before it is run."""

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from videoworker import apis
from videoworker.errors import JobError
from videoworker.models import VARIANTS
from videoworker.models.placement import (
    GIB,
    LADDER,
    Placement,
    Weights,
    activations,
    choose,
    declared_weights,
    needed,
)
from videoworker.models.plan import Plan, make_plan
from videoworker.models.published_seconds import GPU, denoise_seconds
from videoworker.models.suited import following
from videoworker.settings import Settings, settings


def estimate(
    job: Annotated[str, typer.Argument(help="a job's `input` as JSON")],
    memory: Annotated[
        float | None, typer.Option(min=0, help="GiB that are free on the GPU; by default those of this machine's")
    ] = None,
) -> None:
    """Prints the model, the GiB that each placement of its weights needs, which one is taken, and seconds."""
    current = settings()
    try:
        given = json.loads(job)
    except ValueError as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint="JOB") from error
    request = apis.select(given, current.api).parse(given)

    import torch  # these take seconds to import; the other commands need none

    from videoworker.engine import offload, places
    from videoworker.engine.engine import Engine

    engine = Engine(current)
    model = engine.choose(current.model or request.model or engine.best_installed(), request)
    plan = make_plan(request, model, following(VARIANTS[model.name], model))
    found = places.locate(model, current)
    weights = offload.weights(model, found.folder, torch.bfloat16) if found else declared_weights(model)
    free = None if memory is None else round(memory * GIB)
    if free is None and torch.cuda.is_available():
        free = offload.available(torch.device("cuda"))
    where = f"found: {found.place}" if found else "as declared: they are not installed"
    for line in (*_needs(plan, weights, where), _placement(plan, weights, free, current), _seconds(plan)):
        typer.echo(line)


def _needs(plan: Plan, weights: Weights, where: str) -> Iterator[str]:
    canvas = plan.canvas
    parts = f" in {len(plan.parts)} parts" if len(plan.parts) > 1 else ""
    yield f"model      {plan.model.title}"
    yield (
        f"clip       {canvas.native_width}x{canvas.native_height}, {plan.num_frames} frames{parts}, "
        f"{plan.sampling.steps} steps"
    )
    total = weights.text_encoders + weights.transformer + weights.vae
    yield f"weights    {total / GIB:.1f} GiB ({where})"
    beside = activations(plan)
    yield f"beside     {beside / GIB:.1f} GiB"
    for placement in LADDER:
        yield f"  {placement:<22}{needed(weights, beside, placement) / GIB:6.1f} GiB"


def _placement(plan: Plan, weights: Weights, free: int | None, current: Settings) -> str:
    if current.placement is not None:
        return f"placement  {current.placement} (as PLACEMENT says)"
    if free is None:
        return "placement  not known: there is no GPU here; --memory says how many GiB are free on one"
    try:
        first = Placement.GROUP_OFFLOAD if plan.low_vram else Placement.RESIDENT
        return f"placement  {choose(weights, activations(plan), free, first)} ({free / GIB:.1f} GiB are free)"
    except JobError as error:
        return f"placement  none: {error.message}"


def _seconds(plan: Plan) -> str:
    seconds = denoise_seconds(plan)
    if seconds is None:
        return "seconds    not known: nobody has published them for this model"
    return f"seconds    about {seconds:.0f} to denoise on an {GPU}, by what is published for the model's default clip"

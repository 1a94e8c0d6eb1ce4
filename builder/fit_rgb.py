"""Finds the linear map that shows a model's latents as small pictures: `VideoModel.rgb`.

Run as `python -m builder.fit_rgb sketch`. It encodes scenes of flat colours with the model's autoencoder, and fits the
map to their colours by least squares. The weights must be installed, and the model must take an image.
"""

import random
from typing import Annotated

import torch
import torch.nn.functional as F
import typer

from builder.sketch.scenes import TRAINED, draw_scene, render
from videoworker.engine.device import Device
from videoworker.models import VARIANTS
from videoworker.models.video_model import Rgb, VideoModel
from videoworker.planning.placement import Placement
from videoworker.sampling.pixels import to_frames
from videoworker.settings import settings
from videoworker.watch import Watch
from videoworker.weights.places import locate

_SCENES = 16


def main(model: Annotated[str, typer.Argument(help="the model's name")]) -> None:
    """Prints the map for the model's file, and how much of the colours' variance it explains."""
    rgb, explained = fit(next(variant for variant in VARIANTS[model] if variant.takes_image))
    for row in rgb:
        typer.echo(f"        ({', '.join(f'{value:.3f}' for value in row)}),")
    typer.echo(f"explains {explained:.1%}")


def fit(model: VideoModel) -> tuple[Rgb, float]:
    """The map, and the share of the colours' variance that it explains, which is 1 at best."""
    found = locate(model.checkpoint, settings())
    if found is None:
        raise typer.BadParameter(model.checkpoint.absence)
    loaded = Device().use(model, found.folder, Placement.RESIDENT, Watch("fit", lambda _: None, 3600))
    encode = loaded.family.encode_frames
    if encode is None:
        raise typer.BadParameter(f"The family of {model.name} does not encode pictures.")
    rng = random.Random(0)
    width, height = model.default_width, model.default_height
    latents, colours = [], []
    for combination in rng.sample(TRAINED, _SCENES):
        pixels = render(draw_scene(rng, combination, width / height), width, height, model.min_frames)
        encoded = encode(loaded.networks, to_frames(pixels[None]))[0].float().cpu()  # [T, C, h, w]
        seen = F.adaptive_avg_pool3d(pixels[None], (len(encoded), *encoded.shape[2:]))[0]  # [3, T, h, w]
        latents.append(encoded.movedim(1, -1).flatten(0, 2))
        colours.append(seen.movedim(0, -1).flatten(0, 2))
    channels, wanted = torch.cat(latents).double(), torch.cat(colours).double()
    channels = torch.cat([channels, torch.ones(len(channels), 1)], dim=1)
    found_map = torch.linalg.lstsq(channels, wanted).solution
    unexplained = (channels @ found_map - wanted).square().mean() / (wanted - wanted.mean(0)).square().mean()
    rows = [tuple(round(value, 3) for value in row) for row in found_map.tolist()]
    return tuple((red, green, blue) for red, green, blue in rows), 1 - float(unexplained)


if __name__ == "__main__":
    typer.run(main)

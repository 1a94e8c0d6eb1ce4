"""Makes `weights/sketch-foley` from nothing: the encoders of texts, pictures and motion, the transformer, then
the files. The codec is computed, not trained.

Run as `python -m builder.train_sketch_foley`; it can be stopped and started again at any moment. Losses go to the
terminal and to `<folder>/losses.csv`.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.log import log_losses
from builder.sketch_foley import networks, pool, seeing_stages, text_stage, transformer_stage
from builder.sketch_foley.codec import decoder
from videoworker.families.foley.features import Extractors
from videoworker.models.sketch_foley import SKETCH_FOLEY


class Stage(StrEnum):
    TEXT = "text"
    PICTURES = "pictures"
    MOTION = "motion"
    POOL = "pool"
    TRANSFORMER = "transformer"
    EXPORT = "export"
    ALL = "all"


def main(
    folder: Annotated[Path, typer.Option(help="where checkpoints and losses are kept")] = Path("build/sketch-foley"),
    weights: Annotated[Path, typer.Option(help="where the finished files go")] = Path("weights/sketch-foley"),
    stage: Annotated[Stage, typer.Option(help="which part to run")] = Stage.ALL,
    seed: int = 0,
    text_steps: int = 500,
    picture_steps: int = 2000,
    motion_steps: int = 1500,
    shards: Annotated[int, typer.Option(help="files of takes that the transformer learns from")] = 32,
    takes: Annotated[int, typer.Option(help="takes in each of them")] = 80,
    transformer_steps: int = 16000,
) -> None:
    """Trains and writes `sketch-foley`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    if stage in (Stage.TEXT, Stage.ALL):
        tokenizer = networks.tokenizer()
        model = networks.text_encoder(len(tokenizer))
        log_losses("text", folder, text_stage.train(tokenizer, model, folder, text_steps, seed), 100)
    if stage in (Stage.PICTURES, Stage.ALL):
        losses = seeing_stages.train_pictures(networks.image_encoder(), folder, picture_steps, seed)
        log_losses("pictures", folder, losses, 50)
    if stage in (Stage.MOTION, Stage.ALL):
        losses = seeing_stages.train_motion(networks.synchformer(), folder, motion_steps, seed)
        log_losses("motion", folder, losses, 50)
    if stage in (Stage.POOL, Stage.ALL):
        for number in pool.make(folder / "pool", _trained_extractors(folder), pool.Extent(shards, takes), seed):
            print(f"pool {number + 1}/{shards}", flush=True)
    if stage in (Stage.TRANSFORMER, Stage.ALL):
        losses = transformer_stage.train(
            networks.transformer(), _trained_extractors(folder), folder, transformer_steps, seed
        )
        log_losses("transformer", folder, losses, 50)
    if stage in (Stage.EXPORT, Stage.ALL):
        _export(folder, weights)


def _trained_extractors(folder: Path) -> Extractors:
    tokenizer = networks.tokenizer()
    trained: dict[str, Any] = {
        "text_encoder": networks.text_encoder(len(tokenizer)),
        "image_encoder": networks.image_encoder(),
        "synchformer": networks.synchformer(),
    }
    for name, network in trained.items():
        Checkpoint(folder / f"{name}.pt", model=network).restore()
        network.eval().requires_grad_(False)
    return Extractors(tokenizer=tokenizer, **trained, device=torch.device("cpu"))


def _export(folder: Path, weights: Path) -> None:
    """Writes the files that the worker reads: the averaged transformer in bfloat16, the rest as trained."""
    extractors = _trained_extractors(folder)
    averaged = transformer_stage.average(networks.transformer())
    Checkpoint(folder / "transformer.pt", ema=averaged).restore()
    checkpoint = SKETCH_FOLEY.checkpoint
    extractors.tokenizer.save_pretrained(weights / "tokenizer")
    made = {
        "text_encoder": extractors.text_encoder,
        "image_encoder": extractors.image_encoder,
        "synchformer": extractors.synchformer,
        "transformer": averaged.module,
        "codec": decoder(),
    }
    for component in checkpoint.components:
        made[component.name].to(getattr(torch, component.stored)).save_pretrained(weights / component.name)
    index: dict[str, Any] = {"_class_name": checkpoint.pipeline}
    index |= {component.name: ["videoworker", component.name] for component in checkpoint.components}
    index["tokenizer"] = ["transformers", "AutoTokenizer"]
    (weights / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

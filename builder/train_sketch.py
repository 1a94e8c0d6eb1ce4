"""Makes `weights/sketch` from nothing: text encoder, autoencoder, transformer, then the files in diffusers layout.

Run as `python -m builder.train_sketch`; it can be stopped and started again at any moment. Losses go to the terminal
and to `<folder>/losses.csv`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline, CogVideoXTransformer3DModel
from transformers import T5EncoderModel

from builder.sketch import autoencoder_stage, networks, text_stage, transformer_stage
from builder.sketch.checkpoints import Checkpoint
from builder.sketch.log import log_losses


def _trained_autoencoder(folder: Path, weights: Path, device: str) -> AutoencoderKLCogVideoX:
    """The autoencoder as it stands on disk, in bfloat16: its checkpoint, else the finished files."""
    checkpoint = folder / "autoencoder.pt"
    if checkpoint.exists():
        model = networks.autoencoder()
        autoencoder_stage.as_matrices(model)
        Checkpoint(checkpoint, model=model).restore()
        autoencoder_stage.as_kernels(model)
    else:
        model = AutoencoderKLCogVideoX.from_pretrained(weights / "vae")
    return model.to(device, torch.bfloat16).eval().requires_grad_(False)


def _trained_text_encoder(folder: Path, weights: Path, vocab_size: int, device: str) -> T5EncoderModel:
    """As `_trained_autoencoder`, in float32."""
    checkpoint = folder / "text_encoder.pt"
    if checkpoint.exists():
        model = networks.text_encoder(vocab_size)
        Checkpoint(checkpoint, model=model).restore()
    else:
        model = T5EncoderModel.from_pretrained(weights / "text_encoder", dtype=torch.float32)
    return model.to(device).eval().requires_grad_(False)


def _export(folder: Path, weights: Path) -> None:
    """Writes the files in diffusers layout, bfloat16: the averaged transformer, the rest as trained."""
    tokenizer = networks.tokenizer()
    transformer = networks.transformer()
    averaged = transformer_stage.average(transformer)
    Checkpoint(folder / "transformer.pt", ema=averaged).restore()
    pipeline = CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=_trained_text_encoder(folder, weights, len(tokenizer), "cpu").to(torch.bfloat16),
        vae=_trained_autoencoder(folder, weights, "cpu"),
        transformer=averaged.module.to(torch.bfloat16),
        scheduler=networks.scheduler(),
    )
    pipeline.save_pretrained(weights, safe_serialization=True)


class Stage(StrEnum):
    TEXT = "text"
    AUTOENCODER = "autoencoder"
    TRANSFORMER = "transformer"
    EXPORT = "export"
    ALL = "all"


def main(
    folder: Annotated[Path, typer.Option(help="where checkpoints and losses are kept")] = Path("build/sketch"),
    weights: Annotated[Path, typer.Option(help="where the finished files go")] = Path("weights/sketch"),
    stage: Annotated[Stage, typer.Option(help="which part to run")] = Stage.ALL,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    seed: int = 0,
    text_steps: int = 800,
    autoencoder_steps: int = 1600,
    joint_steps: Annotated[int, typer.Option(help="after these only the decoder is trained")] = 1100,
    transformer_steps: int = 6000,
    batch: Annotated[int, typer.Option(help="clips in a step of the transformer's last lesson")] = 8,
    go_on: Annotated[bool, typer.Option(help="begin with the finished transformer, not with a new one")] = False,
    new_clips: Annotated[float, typer.Option(help="chance that a step draws a clip anew")] = 0.4,
) -> None:
    """Trains and writes `sketch`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    tokenizer = networks.tokenizer()
    if stage in (Stage.TEXT, Stage.ALL):
        text_encoder = networks.text_encoder(len(tokenizer))
        log_losses("text", folder, text_stage.train(tokenizer, text_encoder, folder, text_steps, device, seed), 100)
    if stage in (Stage.AUTOENCODER, Stage.ALL):
        losses = autoencoder_stage.train(networks.autoencoder(), folder, autoencoder_steps, joint_steps, device, seed)
        log_losses("autoencoder", folder, losses)
    if stage in (Stage.TRANSFORMER, Stage.ALL):
        start = (
            CogVideoXTransformer3DModel.from_pretrained(weights / "transformer") if go_on else networks.transformer()
        )
        losses = transformer_stage.train(
            start,
            _trained_autoencoder(folder, weights, device),
            tokenizer,
            _trained_text_encoder(folder, weights, len(tokenizer), device),
            networks.scheduler(),
            folder,
            transformer_stage.Course(transformer_steps, batch, new_clips, seed),
            device,
        )
        log_losses("transformer", folder, losses, 50)
    if stage in (Stage.EXPORT, Stage.ALL):
        _export(folder, weights)


if __name__ == "__main__":
    typer.run(main)

"""Trains the transformer of `sketch-foley` to make latents of noise, by flow matching (arXiv:2210.02747)."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from builder.sketch.checkpoints import Checkpoint
from builder.sketch_foley import pool
from builder.sketch_foley.learning import learn, optimizers, warm_then_cool
from builder.sketch_foley.prompts import SILENCE
from builder.sketch_foley.sounds import CHANNELS, HITS, gain
from builder.sketch_foley.text_stage import TIMBRE_OF_SHAPE, WANTED, text_for
from videoworker.families.foley.features import Extractors, read_texts
from videoworker.families.foley.transformer import Conditioning, FoleyTransformer

_LATENTS = 800  # of a step, in all rows
_UNSEEN = 0.08  # share of rows that see no picture, as guidance needs
_BOUNCING = 5  # times as often as others a take is chosen in which something bounces
_OF_HITS = 1.0  # how much more their error counts: a bounce is heard in one latent of a hundred
# A small error of many quiet channels is heard as a flicker. So the error of the loudness counts too, per (10 dB)^2.
_OF_LEVELS = 0.3
_QUIETEST = 1e-3  # of the loudest channel's power: what is fainter is not heard beside it
_RATE = 2e-3


def average(model: FoleyTransformer) -> AveragedModel:
    """The running mean of the weights over about the last 250 steps, which is what is shipped."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.996))


def train(
    model: FoleyTransformer, extractors: Extractors, folder: Path, steps: int, seed: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """Runs `steps` steps from where `folder` stands, on the pool that is there; yields (step, losses)."""
    items = pool.read(folder / "pool")
    sizes = list(items)
    weights = [len(items[one]) * one[2] ** 0.5 for one in sizes]  # long ones a little more often
    shares = {one: [_BOUNCING if item.bounces else 1 for item in items[one]] for one in sizes}
    model.train()
    chosen = optimizers([model], _RATE)
    averaged = average(model)
    names = {f"optimizer{index}": one for index, one in enumerate(chosen)}
    checkpoint = Checkpoint(folder / "transformer.pt", model=model, ema=averaged, **names)
    for step in range(checkpoint.restore(), steps):
        rng = random.Random(f"transformer/{seed}/{step}")
        torch.manual_seed(step)
        (size,) = rng.choices(sizes, weights)
        rows = rng.choices(items[size], shares[size], k=max(_LATENTS // size[2], 2))
        wanted = [rng.choice(WANTED) for _ in rows]
        clean = torch.stack([_latents(item, one) for item, one in zip(rows, wanted, strict=True)])
        texts = read_texts(extractors, [text_for(rng, one) for one in wanted])[0].clone()
        times = 1 - torch.rand(len(rows)) ** 2  # mostly much noise: there it is decided what will be heard
        noise = torch.randn_like(clean)
        noisy = torch.lerp(clean, noise, times[:, None, None])
        with torch.autocast("cpu", torch.bfloat16):
            conditioning = _conditioning(model, rows, texts, torch.rand(len(rows)) < _UNSEEN)
            predicted = model(noisy, 1000 * times, conditioning)
        wrong = (predicted.float() - (noise - clean)).square()
        error = wrong.flatten(1).mean(1)
        cleaned = noisy - times[:, None, None] * predicted.float()
        levels = (_levels(cleaned) - _levels(clean)).square().mean(1) * (1 - times).square()
        loss = error.mean() + _OF_HITS * wrong[:, HITS].mean() + _OF_LEVELS * levels.mean()
        learn(chosen, loss, _RATE * warm_then_cool(step, steps))
        averaged.update_parameters(model)
        noisiest = error[times > 0.6]
        means = {"error": error, "levels": levels, "noisiest": noisiest if len(noisiest) else torch.ones(1)}
        yield step, {name: values.mean().item() for name, values in means.items()}
        if (step + 1) % 200 == 0 or step + 1 == steps:
            checkpoint.save(step + 1)


def _levels(latents: torch.Tensor) -> torch.Tensor:
    """How loud latents [B, C, L] are [B, L], in steps of 10 dB."""
    return (gain(latents).square().sum(1) + _QUIETEST).log10()


def _latents(item: pool.Item, wanted: str) -> torch.Tensor:
    """[C, L] of the sound that a text asks for."""
    if wanted == SILENCE:
        return torch.zeros(CHANNELS, item.sizes[2])
    return item.latents[wanted or TIMBRE_OF_SHAPE[item.shape]].float()


def _conditioning(model: Any, rows: Sequence[pool.Item], texts: torch.Tensor, unseen: torch.Tensor) -> Conditioning:
    visual = torch.stack([item.visual for item in rows]).float()
    sync = torch.stack([item.sync for item in rows]).float()
    visual = torch.where(unseen[:, None, None], model.empty_clip_feat, visual)
    sync = torch.where(unseen[:, None, None], model.empty_sync_feat, sync)
    num_pictures, _, num_latents = rows[0].sizes
    seen, spread = model.look(visual, sync, num_latents)
    return Conditioning(seen, spread, model.read_text(texts), model.positions(num_latents, num_pictures))

"""Trains the text encoder of `sketch`: every token of a sentence must tell the scene's four attributes.

The heads that read them are thrown away afterwards; what stays is an encoder whose tokens the transformer can use at
once, instead of learning English through a video model's gradients.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.networks import MAX_TEXT_TOKENS
from builder.sketch.prompts import sentence, unrelated_sentence
from builder.sketch.scenes import COLOURS, MOTIONS, SHAPES, TRAINED

_ATTRIBUTES = (SHAPES, tuple(COLOURS), tuple(COLOURS), MOTIONS)
_BATCH = 128


def describe(rng: random.Random, combination: tuple[str, str, str, str]) -> tuple[str, tuple[str | None, ...]]:
    """A sentence for the scene and what it says: mostly all four attributes, sometimes fewer, sometimes none."""
    kind = rng.random()
    if kind < 0.06:
        return "", (None,) * 4
    if kind < 0.12:
        return unrelated_sentence(rng), (None,) * 4
    drop = 0.35 if kind < 0.3 else 0.0
    told = tuple(None if rng.random() < drop else attribute for attribute in combination)
    return sentence(rng, *told), told


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Token ids [B, MAX_TEXT_TOKENS] of the texts, padded."""
    batch = tokenizer(texts, padding="max_length", max_length=MAX_TEXT_TOKENS, truncation=True, return_tensors="pt")
    ids: torch.Tensor = batch.input_ids
    return ids


def train(
    tokenizer: PreTrainedTokenizerFast, model: T5EncoderModel, folder: Path, steps: int, device: str, seed: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """Runs `steps` steps from where `folder` stands; yields (step, losses)."""
    heads = nn.Linear(model.config.d_model, sum(len(values) + 1 for values in _ATTRIBUTES)).to(device)
    model.to(device).train()
    optimizer = torch.optim.AdamW([*model.parameters(), *heads.parameters()], lr=2e-3, weight_decay=1e-2)

    def rate(step: int) -> float:
        return min((step + 1) / (0.1 * steps), 1.0, max((steps - step) / (0.9 * steps), 0.01))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    checkpoint = Checkpoint(
        folder / "text_encoder.pt", model=model, heads=heads, optimizer=optimizer, schedule=schedule
    )
    for step in range(checkpoint.restore(), steps):
        rng = random.Random(f"text/{seed}/{step}")
        texts, told = zip(*(describe(rng, rng.choice(TRAINED)) for _ in range(_BATCH)), strict=True)
        with torch.autocast(device, torch.bfloat16):
            states = model(tokenize(tokenizer, list(texts)).to(device)).last_hidden_state
            logits = heads(states).float()  # [B, tokens, all classes]
        loss, right, offset = logits.new_zeros(()), 0.0, 0
        for index, values in enumerate(_ATTRIBUTES):
            classes = torch.tensor([len(values) if t[index] is None else values.index(t[index]) for t in told]).to(
                device
            )
            part = logits[..., offset : offset + len(values) + 1]
            loss = loss + F.cross_entropy(part.transpose(1, 2), classes[:, None].expand(-1, part.shape[1]))
            right += (part.mean(1).argmax(-1) == classes).float().mean().item() / len(_ATTRIBUTES)
            offset += len(values) + 1
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield step, {"loss": loss.item(), "right": right}
        if (step + 1) % 100 == 0 or step + 1 == steps:
            checkpoint.save(step + 1)

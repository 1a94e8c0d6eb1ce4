"""Trains the text encoder of `sketch-foley`: every token of a text must tell which timbre it asks for. The head that
reads it is thrown away afterwards."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.scenes import SHAPES
from builder.sketch_foley.networks import TEXT_DIM
from builder.sketch_foley.prompts import TIMBRE_WORDS, phrase, unrelated

# Without a prompt that asks for a timbre, the shape says what it sounds like.
TIMBRE_OF_SHAPE = dict(zip(SHAPES, ("hum", "wood", "noise", "bell"), strict=True))

WANTED = (*TIMBRE_WORDS, "")  # the last one: no timbre is asked for
_BATCH, _RATE = 128, 3e-3


def text_for(rng: random.Random, wanted: str) -> str:
    return phrase(rng, wanted) if wanted else unrelated(rng)


def train(tokenizer: Any, model: Any, folder: Path, steps: int, seed: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Runs `steps` steps from where `folder` stands; yields (step, losses)."""
    head = nn.Linear(TEXT_DIM, len(WANTED))
    model.train()
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=_RATE, weight_decay=0.01)
    checkpoint = Checkpoint(folder / "text_encoder.pt", model=model, head=head, optimizer=optimizer)
    for step in range(checkpoint.restore(), steps):
        rng = random.Random(f"text/{seed}/{step}")
        wanted = [rng.choice(WANTED) for _ in range(_BATCH)]
        tokens = tokenizer([text_for(rng, one) for one in wanted], padding=True, return_tensors="pt")
        told = head(model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state)
        classes = torch.tensor([WANTED.index(one) for one in wanted])
        loss = F.cross_entropy(told.transpose(1, 2), classes[:, None].expand(-1, told.shape[1]))
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min((step + 1) / 50, 1.0, (steps - step) / (0.9 * steps))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        right = (told.mean(1).argmax(1) == classes).float().mean().item()
        yield step, {"loss": loss.item(), "right": right}
        if (step + 1) % 100 == 0 or step + 1 == steps:
            checkpoint.save(step + 1)

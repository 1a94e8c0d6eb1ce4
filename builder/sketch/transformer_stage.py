"""Trains the transformer of `sketch` to remove noise from the latents of drawn scenes by predicting the clean latents.

Clips are drawn and encoded as training goes and each is used several times, because encoding one costs more than
learning from it once. A clip may start anywhere in its scene's time only where its first frames are given, since only
then can the model know; without given frames it starts where the whole motion fits into the picture.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.networks import NUM_FRAMES
from builder.sketch.scenes import all_combinations, draw_scene, is_held_out, render
from builder.sketch.text_stage import describe, tokenize

_TRAINED = [c for c in all_combinations() if not is_held_out(c)]
# (width, height), multiples of 32: a quarter of the native area first, where a step costs a fifth
_SMALL = ((128, 128), (160, 96), (96, 160), (128, 96), (96, 128))
_NATIVE = ((256, 256), (320, 192), (192, 320), (288, 224), (224, 288))
_POOL = 700  # clips kept for each size
_PEOPLE_SEE_FIRST = 0.6  # share of clips that start at the scene's beginning


@dataclass
class _Clip:
    combination: tuple[str, str, str, str]
    from_start: bool
    latents: torch.Tensor  # [7, 16, h, w], scaled


class _Pool:
    """Clips of one size; the oldest makes room for the newest."""

    def __init__(self, size: tuple[int, int], vae: AutoencoderKLCogVideoX) -> None:
        self.size, self._vae, self._clips, self._drawn = size, vae, [], 0

    @torch.no_grad()
    def draw(self, rng: random.Random) -> None:
        combination = rng.choice(_TRAINED)
        width, height = self.size
        from_start = rng.random() < _PEOPLE_SEE_FIRST
        scene = draw_scene(rng, combination, width / height, NUM_FRAMES)
        pixels = render(scene, width, height, NUM_FRAMES, 0 if from_start else rng.randrange(120))
        pixels = pixels.unsqueeze(0).to(self._vae.device, self._vae.dtype)
        latents = self._vae.encode(pixels).latent_dist.mode() * self._vae.config.scaling_factor
        clip = _Clip(combination, from_start, latents[0].transpose(0, 1).to("cpu", torch.bfloat16))
        if len(self._clips) < _POOL:
            self._clips.append(clip)
        else:
            self._clips[self._drawn % _POOL] = clip
        self._drawn += 1

    def sample(self, rng: random.Random, count: int) -> list[_Clip]:
        return rng.choices(self._clips, k=count)

    def __len__(self) -> int:
        return len(self._clips)


def _given_latents(rng: random.Random, clip: _Clip) -> int:
    """How many of the clip's first latents the model is shown: 0, 1 (one frame) or 2 (five frames)."""
    if clip.from_start and rng.random() < 0.8:
        return 0
    return rng.choice((1, 2))


def average(model: CogVideoXTransformer3DModel) -> AveragedModel:
    """The running mean of the weights over about the last 500 steps, which is what is shipped."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998))


def train(
    model: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX, tokenizer: PreTrainedTokenizerFast, text_encoder: T5EncoderModel,
    scheduler: CogVideoXDDIMScheduler, folder: Path, steps: int, small_steps: int, batch: int, new_clips: float, device: str, seed: int,
) -> Iterator[tuple[int, dict[str, float]]]:  # fmt: skip
    """Runs `steps` steps, the first `small_steps` of them on small pictures; yields (step, losses).

    `new_clips` is the chance that a clip is drawn anew for a step of `batch` clips.
    """
    model.to(device).train()
    ema = average(model)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and n.startswith("transformer_blocks")]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    optimizers = (
        torch.optim.Muon(matrices, lr=1.5e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=1e-3, weight_decay=0.0, betas=(0.9, 0.98)),
    )

    def rate(step: int) -> float:
        return min((step + 1) / 100, 1.0, max((steps - step) / (0.4 * steps), 0.01))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in optimizers]
    checkpoint = Checkpoint(
        folder / "transformer.pt", model=model, ema=ema, muon=optimizers[0], adamw=optimizers[1],
        schedule0=schedules[0], schedule1=schedules[1],
    )  # fmt: skip
    alphas = scheduler.alphas_cumprod.to(device, torch.float32)
    pools: dict[tuple[int, int], _Pool] = {}
    for step in range(checkpoint.restore(), steps):
        rng = random.Random(f"transformer/{seed}/{step}")
        small = step < small_steps
        size = rng.choice(_SMALL if small else (*_NATIVE, _NATIVE[0]))
        pool = pools.setdefault(size, _Pool(size, vae))
        for _ in range(int(rng.random() < new_clips) if len(pool) >= 3 * batch else 3 * batch):
            pool.draw(rng)
        clips = pool.sample(rng, batch * 4 if small else batch)
        clean = torch.stack([clip.latents for clip in clips]).to(device, torch.float32)  # [B, 7, 16, h, w]
        texts = [describe(rng, clip.combination)[0] for clip in clips]
        noise = torch.Generator(device).manual_seed(step + (seed << 32))
        given = torch.zeros_like(clean)
        for index, clip in enumerate(clips):
            count = _given_latents(rng, clip)
            given[index, :count] = clean[index, :count]
        # a little noise on what is given, because a continued clip is given decoded and encoded frames
        given = given + (given != 0) * 0.05 * torch.randn(given.shape, generator=noise, device=device)
        epsilon = torch.randn(clean.shape, generator=noise, device=device)
        # one time step in every stretch of the schedule, so that each batch sees all noise levels
        spread = (torch.arange(len(clips), device=device) + torch.rand(len(clips), generator=noise, device=device)) / len(clips)
        timesteps = (spread * 1000).long().clamp(max=999)
        alpha = alphas[timesteps].view(-1, 1, 1, 1, 1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * epsilon
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            states = text_encoder(tokenize(tokenizer, texts).to(device)).last_hidden_state
        with torch.autocast(device, torch.bfloat16):
            predicted = model(torch.cat([noisy, given], 2), states, timesteps, return_dict=False)[0]
        each = (predicted.float() - clean).square().flatten(1).mean(1)
        # the weight that the error of a velocity would have, bounded where hardly any noise is left
        loss = (each / (1 - alphas[timesteps]).clamp(min=0.25)).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        ema.update_parameters(model)
        # spread is sorted: the last quarter of the batch is the noisiest
        yield step, {"loss": loss.item(), "noisiest": each[-(len(clips) // 4) :].mean().item()}
        if (step + 1) % 200 == 0 or step + 1 == steps:
            checkpoint.save(step + 1)

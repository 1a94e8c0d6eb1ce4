"""Trains the transformer of `sketch` to remove noise from the latents of drawn scenes by predicting the clean latents.

Clips are drawn and encoded as training goes and each is used several times, because encoding one costs more than
learning from it once. A clip may start anywhere in its scene's time only where its first frames are given, since only
then can the model know; without given frames it starts where the whole motion fits into the picture.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.networks import NUM_FRAMES
from builder.sketch.scenes import TRAINED, draw_scene, render
from builder.sketch.text_stage import describe, tokenize

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
        self._size, self._vae = size, vae
        self._clips: deque[_Clip] = deque(maxlen=_POOL)

    @torch.no_grad()
    def draw(self, rng: random.Random) -> None:
        combination = rng.choice(TRAINED)
        width, height = self._size
        from_start = rng.random() < _PEOPLE_SEE_FIRST
        scene = draw_scene(rng, combination, width / height, NUM_FRAMES)
        pixels = render(scene, width, height, NUM_FRAMES, 0 if from_start else rng.randrange(120))
        pixels = pixels.unsqueeze(0).to(self._vae.device, self._vae.dtype)
        latents = self._vae.encode(pixels).latent_dist.mode() * self._vae.config.scaling_factor
        self._clips.append(_Clip(combination, from_start, latents[0].transpose(0, 1).to("cpu", torch.bfloat16)))

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


@dataclass(frozen=True)
class Course:
    """How long to train: `steps` steps, the first `small_steps` of them on small pictures; `batch` native clips a step
    (four times as many small ones), and the chance `new_clips` that a step draws a clip anew."""

    steps: int
    small_steps: int
    batch: int
    new_clips: float
    seed: int


@dataclass(frozen=True)
class _Batch:
    """`noisy`, `given`, `clean` are latents [B, 7, 16, h, w]; `remaining_noise` [B] is 1 - alpha."""

    texts: list[str]
    timesteps: torch.Tensor
    noisy: torch.Tensor
    given: torch.Tensor
    clean: torch.Tensor
    remaining_noise: torch.Tensor


def _batch(rng: random.Random, clips: list[_Clip], alphas: torch.Tensor) -> _Batch:
    device = alphas.device
    noise = torch.Generator(device).manual_seed(rng.getrandbits(63))
    clean = torch.stack([clip.latents for clip in clips]).to(device, torch.float32)
    given = torch.zeros_like(clean)
    for index, clip in enumerate(clips):
        count = _given_latents(rng, clip)
        given[index, :count] = clean[index, :count]
    # a little noise on what is given, because a continued clip is given frames that were decoded and encoded again
    given = given + (given != 0) * 0.05 * torch.randn(given.shape, generator=noise, device=device)
    epsilon = torch.randn(clean.shape, generator=noise, device=device)
    # one time step in every stretch of the schedule, so that each batch sees all noise levels
    count = len(clips)
    spread = (torch.arange(count, device=device) + torch.rand(count, generator=noise, device=device)) / count
    timesteps = (spread * len(alphas)).long().clamp(max=len(alphas) - 1)
    alpha = alphas[timesteps].view(-1, 1, 1, 1, 1)
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * epsilon
    texts = [describe(rng, clip.combination)[0] for clip in clips]
    return _Batch(texts, timesteps, noisy, given, clean, 1 - alphas[timesteps])


def train(
    model: CogVideoXTransformer3DModel,
    vae: AutoencoderKLCogVideoX,
    tokenizer: PreTrainedTokenizerFast,
    text_encoder: T5EncoderModel,
    scheduler: CogVideoXDDIMScheduler,
    folder: Path,
    course: Course,
    device: str,
) -> Iterator[tuple[int, dict[str, float]]]:
    """Goes on from where `folder` stands to the course's end; yields (step, losses)."""
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
        return min((step + 1) / 100, 1.0, max((course.steps - step) / (0.4 * course.steps), 0.01))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in optimizers]
    checkpoint = Checkpoint(
        folder / "transformer.pt",
        model=model,
        ema=ema,
        muon=optimizers[0],
        adamw=optimizers[1],
        schedule0=schedules[0],
        schedule1=schedules[1],
    )
    alphas = scheduler.alphas_cumprod.to(device, torch.float32)
    pools: dict[tuple[int, int], _Pool] = {}
    for step in range(checkpoint.restore(), course.steps):
        rng = random.Random(f"transformer/{course.seed}/{step}")
        small = step < course.small_steps
        size = rng.choice(_SMALL if small else (*_NATIVE, _NATIVE[0]))
        pool = pools.setdefault(size, _Pool(size, vae))
        first_clips = 3 * course.batch
        for _ in range(int(rng.random() < course.new_clips) if len(pool) >= first_clips else first_clips):
            pool.draw(rng)
        batch = _batch(rng, pool.sample(rng, course.batch * 4 if small else course.batch), alphas)
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            states = text_encoder(tokenize(tokenizer, batch.texts).to(device)).last_hidden_state
        with torch.autocast(device, torch.bfloat16):
            seen = torch.cat([batch.noisy, batch.given], 2)
            predicted = model(seen, states, batch.timesteps, return_dict=False)[0]
        each = (predicted.float() - batch.clean).square().flatten(1).mean(1)
        # the weight that the error of a velocity would have, bounded where hardly any noise is left
        loss = (each / batch.remaining_noise.clamp(min=0.25)).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        ema.update_parameters(model)
        # time steps rise within a batch: its last quarter is the noisiest
        yield step, {"loss": loss.item(), "noisiest": each[-(len(each) // 4) :].mean().item()}
        if (step + 1) % 200 == 0 or step + 1 == course.steps:
            checkpoint.save(step + 1)

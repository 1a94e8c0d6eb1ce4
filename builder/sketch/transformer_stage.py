"""Trains the transformer of `sketch` to remove noise from the latents of drawn scenes by predicting the clean latents.

Clips are drawn and encoded as training goes and each is used several times, because encoding one costs more than
learning from it once. A clip may show its shape anywhere and at any time only where its first frames are given, since
only then can the model know; without given frames its motion passes through the middle of the picture.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.guide import Guide, outlines
from builder.sketch.networks import NUM_FRAMES
from builder.sketch.scenes import TRAINED, draw_centred_scene, draw_scene, render
from builder.sketch.text_stage import describe, tokenize
from videoworker.families.cogvideox.family import rotary_positions

_GUIDED_LAYER = 4  # of 8: what is right there is drawn by the layers after it
_POOL = 700  # clips kept for each size
_PEOPLE_SEE_FIRST = 0.75  # share of clips that start at the scene's beginning


@dataclass(frozen=True)
class _Lesson:
    """What a stretch of the training looks at: clips of `num_frames` frames in `sizes` (width, height; multiples of
    32), `times` as many in a step as in the last lesson, until the share `until` of all steps."""

    sizes: tuple[tuple[int, int], ...]
    num_frames: int
    times: int
    until: float


# Single frames first: what things look like is learnt from them at a sixth of a clip's cost.
_LESSONS = (
    _Lesson(((256, 256), (320, 192), (192, 320)), 1, 4, 0.5),
    _Lesson(((192, 192), (256, 160), (160, 256)), NUM_FRAMES, 2, 0.65),
    _Lesson(((256, 256), (320, 192), (192, 320), (288, 224), (224, 288)), NUM_FRAMES, 1, 1.0),
)


@dataclass
class _Clip:
    combination: tuple[str, str, str, str]
    from_start: bool
    latents: torch.Tensor  # [T, 16, h, w], scaled
    outlines: torch.Tensor  # [tokens, 32]


class _Pool:
    """Clips of one size and length; the oldest makes room for the newest."""

    def __init__(self, size: tuple[int, int], num_frames: int, vae: AutoencoderKLCogVideoX) -> None:
        self._size, self._num_frames, self._vae = size, num_frames, vae
        self._clips: deque[_Clip] = deque(maxlen=_POOL)

    @torch.no_grad()
    def draw(self, rng: random.Random) -> None:
        combination = rng.choice(TRAINED)
        width, height = self._size
        from_start = self._num_frames == 1 or rng.random() < _PEOPLE_SEE_FIRST
        draw = draw_centred_scene if from_start else draw_scene
        scene = draw(rng, combination, width / height, NUM_FRAMES)
        first_frame = 0 if from_start else rng.randrange(120)
        pixels = render(scene, width, height, self._num_frames, first_frame)
        pixels = pixels.unsqueeze(0).to(self._vae.device, self._vae.dtype)
        latents = self._vae.encode(pixels).latent_dist.mode() * self._vae.config.scaling_factor
        told = outlines(scene, width, height, latents.shape[2], first_frame).to(torch.bfloat16)
        self._clips.append(_Clip(combination, from_start, latents[0].transpose(0, 1).to("cpu", torch.bfloat16), told))

    def sample(self, rng: random.Random, count: int) -> list[_Clip]:
        return rng.choices(self._clips, k=count)

    def __len__(self) -> int:
        return len(self._clips)


def _given_latents(rng: random.Random, clip: _Clip) -> int:
    """How many of the clip's first latents the model is shown: 0, 1 (one frame) or 2 (five frames)."""
    if len(clip.latents) == 1 or (clip.from_start and rng.random() < 0.85):
        return 0
    return rng.choice((1, 2))


def average(model: CogVideoXTransformer3DModel) -> AveragedModel:
    """The running mean of the weights over about the last 250 steps, which is what is shipped."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.996))


@dataclass(frozen=True)
class Course:
    """How long to train: `steps` steps of `batch` clips in the last lesson; `new_clips` is the chance that a step draws
    a clip anew (a frame is always drawn anew)."""

    steps: int
    batch: int
    new_clips: float
    seed: int


@dataclass(frozen=True)
class _Batch:
    """`noisy`, `given`, `clean` are latents [B, T, 16, h, w]; `outlines` is what the guide should read."""

    texts: list[str]
    timesteps: torch.Tensor
    noisy: torch.Tensor
    given: torch.Tensor
    clean: torch.Tensor
    outlines: torch.Tensor


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
    told = torch.stack([clip.outlines for clip in clips]).to(device, torch.float32)
    texts = [describe(rng, clip.combination)[0] for clip in clips]
    return _Batch(texts, timesteps, noisy, given, clean, told)


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
    guide = Guide(
        model.transformer_blocks[_GUIDED_LAYER], model.config.attention_head_dim * model.config.num_attention_heads
    ).to(device)
    others = [p for p in model.parameters() if id(p) not in chosen] + list(guide.parameters())
    optimizers: tuple[Optimizer, ...] = (
        torch.optim.Muon(matrices, lr=2e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=1e-3, weight_decay=0.0, betas=(0.9, 0.98)),
    )

    def rate(step: int) -> float:
        return min((step + 1) / 100, 1.0, max((course.steps - step) / (0.3 * course.steps), 0.01))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in optimizers]
    checkpoint = Checkpoint(
        folder / "transformer.pt",
        model=model,
        ema=ema,
        guide=guide,
        muon=optimizers[0],
        adamw=optimizers[1],
        schedule0=schedules[0],
        schedule1=schedules[1],
    )
    alphas = scheduler.alphas_cumprod.to(device, torch.float32)
    pools: dict[tuple[tuple[int, int], int], _Pool] = {}
    for step in range(checkpoint.restore(), course.steps):
        rng = random.Random(f"transformer/{course.seed}/{step}")
        lesson = next(lesson for lesson in _LESSONS if step < lesson.until * course.steps)
        size = rng.choice(lesson.sizes)
        pool = pools.setdefault((size, lesson.num_frames), _Pool(size, lesson.num_frames, vae))
        count = course.batch * lesson.times
        new = 1 if lesson.num_frames == 1 else int(rng.random() < course.new_clips)
        for _ in range(new if len(pool) >= 2 * count else 2 * count):
            pool.draw(rng)
        batch = _batch(rng, pool.sample(rng, count), alphas)
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            states = text_encoder(tokenize(tokenizer, batch.texts).to(device)).last_hidden_state
        with torch.autocast(device, torch.bfloat16):
            seen = torch.cat([batch.noisy, batch.given], 2)
            rotary = rotary_positions(model.config, seen.shape, device)
            predicted = model(seen, states, batch.timesteps, image_rotary_emb=rotary, return_dict=False)[0]
            misread = guide.error(batch.outlines)
        each = (predicted.float() - batch.clean).square().flatten(1).mean(1)
        loss = ((each + misread) * guide.weights(each.detach(), batch.timesteps / len(alphas))).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        ema.update_parameters(model)
        # time steps rise within a batch
        clearest = each[: max(len(each) // 4, 1)].mean().item()
        yield step, {"error": each.mean().item(), "clearest": clearest, "outline": misread.mean().item()}
        if (step + 1) % 200 == 0 or step + 1 == course.steps:
            checkpoint.save(step + 1)

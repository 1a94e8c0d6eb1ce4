"""Trains the causal video autoencoder of `sketch` on drawn scenes and on a few arbitrary pictures."""

import random
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSpatialNorm3D
from torch import nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.scenes import TRAINED, draw_scene, render

_KL_WEIGHT = 1e-4
# (width, height, frames, batch): whole scenes, small at first because the first steps need no detail
_COARSE = ((64, 64, 9, 4), (80, 48, 9, 4), (48, 80, 9, 4))
_FINE = ((128, 128, 9, 2), (160, 96, 9, 2), (96, 160, 9, 2), (144, 112, 9, 2), (96, 96, 17, 2))


def _arbitrary(rng: random.Random, width: int, height: int, num_frames: int) -> torch.Tensor:
    """Soft colour patterns that drift: what a caller's own first frame may look like. [3, T, H, W] in -1..1."""
    seed = torch.Generator().manual_seed(rng.getrandbits(32))
    cells = rng.choice((2, 3, 5, 9))
    pattern = torch.randn(1, 3, cells + 1, cells + 1, generator=seed)
    big = F.interpolate(
        pattern, size=(height + num_frames * 2, width + num_frames * 2), mode=rng.choice(("bicubic", "nearest"))
    )[0]
    step_x, step_y = rng.choice((0, 1, 2)), rng.choice((0, 1, 2))
    frames = [big[:, i * step_y : i * step_y + height, i * step_x : i * step_x + width] for i in range(num_frames)]
    return torch.stack(frames, 1).mul(0.6).clamp(-1, 1)


def _batch(rng: random.Random, size: tuple[int, int, int, int]) -> torch.Tensor:
    width, height, num_frames, count = size
    clips = []
    for _ in range(count):
        if rng.random() < 0.12:
            clips.append(_arbitrary(rng, width, height, num_frames))
        else:
            scene = draw_scene(rng, rng.choice(TRAINED), width / height)
            clips.append(render(scene, width, height, num_frames, rng.randrange(40)))
    return torch.stack(clips)


class _AsMatrix(nn.Module):
    """Keeps a convolution's kernel as the matrix [out, in * kernel] that Muon works on."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self._shape = shape

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        return matrix.view(self._shape)

    def right_inverse(self, kernel: torch.Tensor) -> torch.Tensor:
        return kernel.reshape(kernel.shape[0], -1)


def as_matrices(model: AutoencoderKLCogVideoX) -> None:
    """Turns all kernels of `model` into matrices in place."""
    for convolution in [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]:
        parametrize.register_parametrization(convolution, "weight", _AsMatrix(convolution.weight.shape))


def as_kernels(model: AutoencoderKLCogVideoX) -> None:
    """Undoes `as_matrices`."""
    for module in model.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")


@torch.no_grad()
def _whiten_latents(model: AutoencoderKLCogVideoX, seed: int) -> None:
    """Gives every latent channel mean 0 and variance 1, by changing the encoder's last and the decoder's first layers.

    The decoder's first convolution sees another border than before (it pads with zeros), which the steps after this
    one repair.
    """
    device = next(model.parameters()).device
    latents = []
    for index in range(48):
        rng = random.Random(f"whiten/{seed}/{index}")
        latents.append(
            model.encode(_batch(rng, rng.choice(_FINE)).to(device)).latent_dist.mode().transpose(0, 1).flatten(1)
        )
    every = torch.cat(latents, 1)
    mean, std = every.mean(1), every.std(1)
    count = len(mean)
    last = model.encoder.conv_out.conv
    weight, bias = last.weight.clone(), last.bias
    weight[:count] /= std.view(-1, 1, 1, 1, 1)
    last.weight = weight
    bias[:count] = (bias[:count] - mean) / std
    bias[count:] -= 2 * std.log()
    readers = [m for m in model.decoder.modules() if isinstance(m, CogVideoXSpatialNorm3D)]
    for convolution in [model.decoder.conv_in.conv, *(c.conv for m in readers for c in (m.conv_y, m.conv_b))]:
        weight = convolution.weight.clone()
        convolution.bias += (weight * mean.view(1, -1, 1, 1, 1)).sum((1, 2, 3, 4))
        convolution.weight = weight * std.view(1, -1, 1, 1, 1)


def train(
    model: AutoencoderKLCogVideoX, folder: Path, steps: int, joint_steps: int, device: str, seed: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """Runs `steps` steps from where `folder` stands; yields (step, losses). L1 plus a small KL term.

    After `joint_steps` the latents are whitened and stay as they are: only the decoder is trained from there.
    """
    as_matrices(model)
    model.to(device).train()
    optimizers: tuple[Optimizer, ...] = (
        torch.optim.Muon(
            [p for p in model.parameters() if p.ndim == 2], lr=2e-3, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW([p for p in model.parameters() if p.ndim != 2], lr=2e-3, weight_decay=0.0, betas=(0.9, 0.98)),
    )
    checkpoint = Checkpoint(folder / "autoencoder.pt", model=model, muon=optimizers[0], adamw=optimizers[1])
    for step in range(checkpoint.restore(), steps):
        rng = random.Random(f"autoencoder/{seed}/{step}")
        if step == joint_steps:
            _whiten_latents(model, seed)
        joint = step < joint_steps
        model.encoder.requires_grad_(joint)
        first, last = (0, joint_steps) if joint else (joint_steps, steps)
        rate = 2e-3 * (1 if joint else 0.5) * min((step - first + 1) / 30, 1.0, (last - step) / (0.3 * (last - first)))
        pixels = _batch(rng, rng.choice(_COARSE if step < joint_steps * 0.6 else _FINE)).to(device)
        with torch.autocast(device, torch.bfloat16):
            posterior = model.encode(pixels).latent_dist
            decoded = model.decode(posterior.sample(torch.Generator(device).manual_seed(step))).sample
        error = (decoded.float() - pixels).abs().mean()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
        (error + _KL_WEIGHT * kl).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        yield step, {"l1": error.item(), "kl": kl.item()}
        if (step + 1) % 100 == 0 or step + 1 in (joint_steps, steps):
            checkpoint.save(step + 1)

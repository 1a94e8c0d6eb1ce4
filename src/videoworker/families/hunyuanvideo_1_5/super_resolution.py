"""HunyuanVideo-1.5's super-resolution: a second course of denoising, at the larger size, beside the smaller latents.

Its course is that of `HunyuanVideo_1_5_SR_Pipeline` in hyvideo/pipelines/hunyuan_video_sr_pipeline.py
(Tencent-Hunyuan/HunyuanVideo-1.5 at 60783e7). The smaller latents are stretched, frame by frame, and go through the
upsampler. So much noise is added to them that they match the course at a level of 0.7. They are channels beside the
latents while the course has that much noise or more, and zeros after. Other channels are the known first frames, as in
the first course. Prompt and picture are those of the first course: the published program encodes them once more, to
nearly the same. It draws its noise anew from the job's seed; here the clip's generator goes on.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from videoworker.families.hunyuanvideo_1_5.family import Conditioning, Networks, known_beside, predictor
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.flow_matching import shifted_schedule
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.latent_space import time_first

_LEVEL = 0.7  # `noise_scale` there


@torch.inference_mode()
def enlarge(networks: Networks, inputs: Inputs[Conditioning], latents: torch.Tensor) -> Start[Conditioning]:
    """`latents` [1, T, C, h, w] are those of the smaller clip. Noise of the larger size is drawn from the generator."""
    sampling, noise = inputs.sampling, inputs.noise.transpose(1, 2)
    schedule = shifted_schedule(networks.scheduler_config, sampling.steps, sampling.flow_shift, networks.device)
    drawn = torch.randn(noise.shape, generator=inputs.generator).to(networks.device)
    small = (1 - _LEVEL) * _upsampled(networks, latents, noise.shape[-2:]) + _LEVEL * drawn
    known = known_beside(noise, inputs.known)
    with_small = torch.cat([known, small, torch.ones_like(small[:, :1])], dim=1)
    without = torch.cat([known, torch.zeros_like(with_small[:, known.shape[1] :])], dim=1)
    levels = schedule.sigmas.tolist()
    return Start(
        noise,
        schedule,
        inputs.prompts,
        Guidance.constant(sampling.guidance_scale, sampling.steps),
        predictor(
            networks.sr_transformer,
            networks.dtype,
            schedule,
            lambda index: without if levels[index] < _LEVEL else with_small,
        ),
        finish=time_first,
    )


def _upsampled(networks: Networks, latents: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """[1, C, T, *size] of [1, T, C, h, w], in float32."""
    stretched = functional.interpolate(latents[0].float(), size=list(size), mode="bilinear")
    upsampled: torch.Tensor = networks.upsampler(stretched.transpose(0, 1)[None])
    return upsampled.float()

"""Wan 2.2."""

import torch

from videoworker.families.family import Family
from videoworker.families.wan.family import Networks, decode, encode_frames, encode_prompts, get_noise, load, start

FAMILY: Family[Networks, torch.Tensor] = Family(
    load=load,
    encode_prompts=encode_prompts,
    get_noise=get_noise,
    encode_frames=encode_frames,
    start=start,
    decode=decode,
)

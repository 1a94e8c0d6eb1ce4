"""Mochi 1."""

import torch

from videoworker.families.family import Family
from videoworker.families.mochi.family import Networks, decode, encode_prompts, get_noise, load, start

FAMILY: Family[Networks, torch.Tensor] = Family(
    load=load,
    encode_prompts=encode_prompts,
    get_noise=get_noise,
    encode_frames=None,
    start=start,
    decode=decode,
)

"""HunyuanVideo-1.5."""

from videoworker.families.family import Family
from videoworker.families.hunyuanvideo_1_5.family import (
    Conditioning,
    Networks,
    decode,
    encode_frames,
    encode_prompts,
    get_noise,
    load,
    start,
)
from videoworker.families.hunyuanvideo_1_5.super_resolution import enlarge

FAMILY: Family[Networks, Conditioning] = Family(
    load=load,
    encode_prompts=encode_prompts,
    get_noise=get_noise,
    encode_frames=encode_frames,
    start=start,
    decode=decode,
    enlarge=enlarge,
    describes_image=True,
)

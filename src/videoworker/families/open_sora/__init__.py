"""Open-Sora 2."""

from videoworker.families.family import Family
from videoworker.families.open_sora.family import (
    Conditioning,
    Networks,
    decode,
    encode_frames,
    encode_prompts,
    get_noise,
    load,
    start,
)

FAMILY: Family[Networks, Conditioning] = Family(
    load=load,
    encode_prompts=encode_prompts,
    get_noise=get_noise,
    encode_frames=encode_frames,
    start=start,
    decode=decode,
)

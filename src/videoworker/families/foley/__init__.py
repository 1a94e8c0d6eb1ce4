"""HunyuanVideo-Foley."""

from videoworker.families.foley.family import SAMPLE_RATE, decode, get_noise, load, start, view
from videoworker.families.foley.features import extract, read_texts
from videoworker.families.sound_family import SoundFamily

SOUND_FAMILY = SoundFamily(
    load=load,
    view=view,
    extract=extract,
    read_texts=read_texts,
    get_noise=get_noise,
    start=start,
    decode=decode,
    sample_rate=SAMPLE_RATE,
)

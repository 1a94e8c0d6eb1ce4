"""The generator of a clip's noise, from its seed."""

import numpy as np
import torch

_BITS = 32  # of a seed that torch's generator on the CPU, MT19937, takes whole; it drops the higher ones
_STATE_AT, _STATE_WORDS = 24, 624  # where its words of 64 bits begin in `get_state`: at::mt19937_data's, as bytes


def seeded_generator(seed: int) -> torch.Generator:
    """A generator on the CPU for a `seed` of 0 to 2^64-1. Each seed has its own noise, whatever the device of the clip.

    A seed below 2^32 has the noise of `manual_seed`. The state for a larger one is MT19937's for an array of 32-bit
    words (Matsumoto's `init_by_array`), which numpy has too.
    """
    generator = torch.Generator("cpu").manual_seed(seed % 2**_BITS)
    if seed >> _BITS:
        words = np.random.RandomState([seed % 2**_BITS, seed >> _BITS]).get_state(legacy=False)["state"]["key"]
        state = generator.get_state()
        state.numpy()[_STATE_AT:][: 8 * _STATE_WORDS] = np.asarray(words, np.uint64).view(np.uint8)
        generator.set_state(state)
    return generator

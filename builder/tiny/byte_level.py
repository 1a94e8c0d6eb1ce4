"""A byte-level tokenizer for small checkpoints: whole words of a prompt template, and bytes for everything else."""

import re

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast


def make_tokenizer(
    special_tokens: list[str],
    template: str = "",
    left_out: tuple[str, ...] = (),
    first: str = "",
    last: str = "",
    **options: object,
) -> PreTrainedTokenizerFast:
    """Every word of `template` is one token, unless it is `left_out`: so the template can be given exactly as many
    tokens as the real tokenizer gives it. `first` and `last` are put around every text; `options` go to the class."""
    # Line breaks stay together, as in Llama's and Qwen's: a template that ends in two keeps its length before any text.
    words = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\n+"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    pieces = re.split("|".join(map(re.escape, special_tokens)), template)
    vocabulary = [*special_tokens, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary += [word for piece in pieces for word, _ in words.pre_tokenize_str(piece) if word not in left_out]
    numbers = {token: number for number, token in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.ByteLevel()
    tokenizer.add_special_tokens(special_tokens)
    around = [(token, numbers[token]) for token in (first, last) if token]
    if around:
        single = f"{first} $A {last}".strip()
        tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=around)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="right", **options)

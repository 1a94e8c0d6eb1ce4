"""The mark that T5's tokenizers put behind every text."""

from typing import Any


def without_end_mark(tokenizer: Any, prompt: str) -> str:
    """The prompt without the mark in letters at its end. Else there would be two.

    The tokenizer that the models were trained with added none to a text that ends in it (transformers before version 5,
    `T5Tokenizer._add_eos_if_not_present`).
    """
    return prompt.removesuffix(tokenizer.eos_token)

"""Attention of Mochi through diffusers' dispatcher, on text without padding.

diffusers' own processor looks for padding in every layer (`nonzero`, which stalls a GPU). It calls PyTorch's attention
directly, whatever backend is set.
"""

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn


class TrimmedAttention:
    """Joint attention over all video tokens and all text tokens. The mask is ignored."""

    _attention_backend: Any = None  # set by `set_attention_backend`
    _parallel_config: Any = None  # set by `enable_parallelism`

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`hidden_states` [B, video tokens, D] and `encoder_hidden_states` [B, text tokens, E], attended to."""
        video = hidden_states.shape[1]
        query, key, value = (
            project(hidden_states).unflatten(2, (attn.heads, -1)) for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        text_query, text_key, text_value = (
            project(encoder_hidden_states).unflatten(2, (attn.heads, -1))
            for project in (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        )
        query = _turned(attn.norm_q(query), *image_rotary_emb)
        key = _turned(attn.norm_k(key), *image_rotary_emb)
        attended = dispatch_attention_fn(
            torch.cat([query, attn.norm_added_q(text_query)], dim=1),
            torch.cat([key, attn.norm_added_k(text_key)], dim=1),
            torch.cat([value, text_value], dim=1),
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        ).flatten(2)
        out, text = attn.to_out[0](attended[:, :video]), attended[:, video:]
        return out, text if attn.context_pre_only else attn.to_add_out(text)


def _turned(states: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """`states` [B, tokens, heads, D] with each pair of neighbouring channels turned by its angle. Angles are
    [tokens, heads, D/2], since every head has learned its own."""
    first, second = states[..., 0::2].float(), states[..., 1::2].float()
    pairs = [first * cosines - second * sines, first * sines + second * cosines]
    return torch.stack(pairs, dim=-1).flatten(-2).to(states.dtype)

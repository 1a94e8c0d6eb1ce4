"""Attention of CogVideoX through diffusers' dispatcher, so that `set_attention_backend` has an effect.

diffusers' own processor calls PyTorch's attention directly, whatever backend is set.
"""

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb


class DispatchedAttention:
    """Joint attention over text and video tokens, text first. Rotary positions turn the video tokens alone."""

    _attention_backend: Any = None  # set by `set_attention_backend`
    _parallel_config: Any = None  # set by `enable_parallelism`

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`hidden_states` [B, video tokens, D] and `encoder_hidden_states` [B, text tokens, D], attended to."""
        text = encoder_hidden_states.shape[1]
        joint = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (
            project(joint).unflatten(2, (attn.heads, -1))  # [B, tokens, heads, head_dim]
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        if attn.norm_q is not None:
            query, key = attn.norm_q(query), attn.norm_k(key)
        if image_rotary_emb is not None:
            query, key = (
                torch.cat([x[:, :text], apply_rotary_emb(x[:, text:], image_rotary_emb, sequence_dim=1)], dim=1)
                for x in (query, key)
            )
        attended = dispatch_attention_fn(
            query,
            key,
            value,
            attn_mask=attention_mask,
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        )
        out = attn.to_out[0](attended.flatten(2))
        return out[:, text:], out[:, :text]

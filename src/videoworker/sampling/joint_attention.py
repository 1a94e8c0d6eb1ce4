"""Attention of video and text tokens together, as HunyuanVideo's generations do it, without a mask.

A mask is needed only if there is padding among the text tokens. Ours are cut to the prompt's own tokens. So every
kernel can run: flash, sage and cuDNN take no mask, and a mask of 720p x 121 frames has 12 GiB.
"""

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb


class JointAttention:
    """An attention processor of diffusers. Masks are ignored.

    Video tokens come first and have rotary positions. Text has its own projections in dual-stream blocks. In
    single-stream blocks it shares the video's.
    """

    _attention_backend: Any = None  # `set_attention_backend` and `enable_parallelism` write here
    _parallel_config: Any = None

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        def heads(projection: Any, states: torch.Tensor) -> torch.Tensor:
            split: torch.Tensor = projection(states).unflatten(2, (attn.heads, -1))
            return split

        dual = attn.add_q_proj is not None
        video, text, count = hidden_states, encoder_hidden_states, hidden_states.shape[1]
        query, key = attn.norm_q(heads(attn.to_q, video)), attn.norm_k(heads(attn.to_k, video))
        if image_rotary_emb is not None:
            query = apply_rotary_emb(query, image_rotary_emb, sequence_dim=1)
            key = apply_rotary_emb(key, image_rotary_emb, sequence_dim=1)
        text_query = heads(attn.add_q_proj if dual else attn.to_q, text)
        text_key = heads(attn.add_k_proj if dual else attn.to_k, text)
        text_value = heads(attn.add_v_proj if dual else attn.to_v, text)
        text_query = (attn.norm_added_q if dual else attn.norm_q)(text_query)
        text_key = (attn.norm_added_k if dual else attn.norm_k)(text_key)
        joint = dispatch_attention_fn(
            torch.cat([query, text_query], dim=1),
            torch.cat([key, text_key], dim=1),
            torch.cat([heads(attn.to_v, video), text_value], dim=1),
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        )
        joint = joint.flatten(2, 3).to(query.dtype)  # [B, video + text, heads * dim]
        video, text = joint[:, :count], joint[:, count:]
        if dual:
            video, text = attn.to_out[1](attn.to_out[0](video)), attn.to_add_out(text)
        return video, text

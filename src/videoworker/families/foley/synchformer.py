"""The visual branch of Synchformer (arXiv:2401.16423): what moves in a short segment of video, and when.

Modules and parameters are called as in the published file, without `vfeat_extractor.`. Shapes: N segments, t frames in
pairs, p patches of a frame, d the width.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

_EPSILON = 1e-6
_MLP_RATIO = 4
_FRAMES_OF_TOKEN = 2


class Synchformer(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers ships no types
    """Segments [N, 3, num_frames, side, side] from -1 to 1 to features [N, num_frames / 2, d]."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        hidden_size: int = 768,
        num_blocks: int = 12,
        num_heads: int = 12,
        image_size: int = 224,
        patch_size: int = 16,
        num_frames: int = 16,
    ) -> None:
        super().__init__()
        patch = (_FRAMES_OF_TOKEN, patch_size, patch_size)
        self.patch_embed_3d = nn.ModuleDict({"proj": nn.Conv3d(3, hidden_size, patch, stride=patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, hidden_size))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (image_size // patch_size) ** 2, hidden_size))
        self.temp_embed = nn.Parameter(torch.zeros(1, num_frames // _FRAMES_OF_TOKEN, hidden_size))
        self.blocks = nn.ModuleList(_Block(hidden_size, num_heads) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(hidden_size, eps=_EPSILON)
        self.spatial_attn_agg = _Summary(hidden_size, num_heads)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embed_3d["proj"](pixels).flatten(3).permute(0, 2, 3, 1)  # [N, t, p, d]
        patches = patches + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        whole = (self.cls_token + self.pos_embed[:, :1]).expand(len(pixels), -1, -1)
        for block in self.blocks:
            whole, patches = block(whole, patches)
        summary = self.spatial_attn_agg(self.norm(patches).flatten(0, 1))
        features: torch.Tensor = summary.unflatten(0, (len(pixels), -1))
        return features


class _Block(nn.Module):
    """Attention over time, then over space, then an MLP. `whole` [N, 1, d] is the token of the whole segment, `patches`
    are [N, t, p, d]."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm3, self.timeattn = (
            nn.LayerNorm(width, eps=_EPSILON),
            _DividedAttention(width, num_heads, over_time=True),
        )
        self.norm1, self.attn = nn.LayerNorm(width, eps=_EPSILON), _DividedAttention(width, num_heads, over_time=False)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=_EPSILON), _Mlp(width)

    def forward(self, whole: torch.Tensor, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for norm, attention in ((self.norm3, self.timeattn), (self.norm1, self.attn)):
            of_whole, of_patches = attention(norm(whole), norm(patches))
            whole, patches = whole + of_whole, patches + of_patches
        return whole + self.mlp(self.norm2(whole)), patches + self.mlp(self.norm2(patches))


class _DividedAttention(nn.Module):
    """A patch attends to the whole's token, and to the patches at its place if `over_time`, else to those of its frame.
    The whole's token attends to everything (arXiv:2102.05095)."""

    def __init__(self, width: int, num_heads: int, over_time: bool) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.num_heads, self.over_time = num_heads, over_time

    def forward(self, whole: torch.Tensor, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        count, frames, places, _ = patches.shape
        tokens = torch.cat([whole, patches.flatten(1, 2)], dim=1)
        packed = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1))  # [N, 1 + t * p, 3, heads, head_dim]
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        of_whole = functional.scaled_dot_product_attention(query[:, :, :1], key, value)

        def grouped(heads: torch.Tensor) -> torch.Tensor:
            """[N * groups, heads, tokens of a group, head_dim] of the patches."""
            apart = heads[:, :, 1:].unflatten(2, (frames, places))
            order = (0, 3, 1, 2, 4) if self.over_time else (0, 2, 1, 3, 4)
            together: torch.Tensor = apart.permute(*order).flatten(0, 1)
            return together

        def with_whole(heads: torch.Tensor) -> torch.Tensor:
            groups = grouped(heads)
            first = heads[:, :, :1].repeat_interleave(len(groups) // count, dim=0)
            return torch.cat([first, groups], dim=2)

        attended = functional.scaled_dot_product_attention(grouped(query), with_whole(key), with_whole(value))
        attended = attended.transpose(1, 2).flatten(2).unflatten(0, (count, -1))  # [N, groups, tokens, d]
        of_patches = attended.transpose(1, 2) if self.over_time else attended
        return self.proj(of_whole.transpose(1, 2).flatten(2)), self.proj(of_patches)


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, _MLP_RATIO * width)
        self.fc2 = nn.Linear(_MLP_RATIO * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return hidden


class _Summary(nn.Module):
    """One layer of a transformer over the patches of a frame [B, p, d], with a token of its own. Only that token's
    result [B, d] is made."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.self_attn = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=_EPSILON), nn.LayerNorm(width, eps=_EPSILON)
        self.linear1, self.linear2 = nn.Linear(width, _MLP_RATIO * width), nn.Linear(_MLP_RATIO * width, width)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        own: torch.Tensor = self.cls_token.expand(len(patches), -1, -1)
        normed = self.norm1(torch.cat([own, patches], dim=1))
        own = own + self.self_attn(normed[:, :1], normed, normed, need_weights=False)[0]
        own = own + self.linear2(functional.gelu(self.linear1(self.norm2(own))))
        return own[:, 0]

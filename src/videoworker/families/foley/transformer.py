"""HunyuanVideo-Foley's transformer (arXiv:2508.16930): latents of sound, seen beside pictures, motion and text.

Modules and parameters are called as in the published files. What stays the same in all steps of a sound is made once:
`read_text`, `look` and `positions` give the parts of a `Conditioning`.

Shapes: B rows of a batch, L latents (50 a second), V pictures (8 a second), S sync features (25 a second), T tokens of
text, d the width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

_TIME_FREQUENCIES = 128
_LONGEST_PERIOD, _ROTARY_THETA = 10_000.0, 10_000.0
_SYNC_GROUP = 8  # features of one segment of the video encoder
_MLP_RATIO = 4
_CONVOLVED_MULTIPLE = 256  # of the gated convolutions' inner width

Table = tuple[torch.Tensor, torch.Tensor]  # cosines and sines, [N, head_dim / 2] each, in float32


@dataclass(frozen=True)
class Positions:
    """Rotary tables. `joint` and `cross` are for V pictures and then L latents, `alone` is for L latents."""

    joint: Table
    cross: Table
    alone: Table


@dataclass(frozen=True)
class Conditioning:
    """What the latents are made from. `visual` [B, V, d] and `sync` [B, L, d]. `text` has keys and values
    [B, heads, T, head_dim] for each triple block."""

    visual: torch.Tensor
    sync: torch.Tensor
    text: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    positions: Positions


def _unchecked() -> None:
    """Nobody wants to stop between two blocks."""


class FoleyTransformer(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers ships no types
    """Predicts the velocity noise - clean of latents. The defaults are those of the larger published variant, XXL."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_triple_blocks: int = 18,
        num_single_blocks: int = 36,
        hidden_size: int = 1536,
        num_heads: int = 12,
        text_dim: int = 768,
        visual_dim: int = 768,
        sync_dim: int = 768,
        latent_channels: int = 128,
    ) -> None:
        super().__init__()
        self.audio_embedder = nn.ModuleDict({"proj": nn.Conv1d(latent_channels, hidden_size, 1)})
        self.visual_proj = _GatedLinear(visual_dim, hidden_size)
        self.cond_in = _TextEmbedding(text_dim, hidden_size)
        self.time_in = _TimeEmbedding(hidden_size)
        self.sync_in = nn.Sequential(
            nn.Linear(sync_dim, hidden_size), nn.SiLU(), _GatedConvolution(hidden_size, kernel_size=1)
        )
        self.sync_pos_emb = nn.Parameter(torch.zeros(1, 1, _SYNC_GROUP, sync_dim))
        self.empty_clip_feat = nn.Parameter(torch.zeros(1, visual_dim))
        self.empty_sync_feat = nn.Parameter(torch.zeros(1, sync_dim))
        self.triple_blocks = nn.ModuleList(_TripleBlock(hidden_size, num_heads) for _ in range(num_triple_blocks))
        self.single_blocks = nn.ModuleList(_SingleBlock(hidden_size, num_heads) for _ in range(num_single_blocks))
        self.final_layer = _FinalLayer(hidden_size, latent_channels)
        self.head_dim = hidden_size // num_heads

    def read_text(self, states: torch.Tensor) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """Keys and values of the text encoder's states [B, T, text_dim], for each triple block.

        The rows have been padded to the same number of tokens, and the padding is attended to: the model was trained
        so.
        """
        embedded = self.cond_in(states)
        table = _table(torch.arange(states.shape[1], device=states.device), self.head_dim)
        blocks: Any = self.triple_blocks
        return tuple(block.read_text(embedded, table) for block in blocks)

    def look(self, visual: torch.Tensor, sync: torch.Tensor, num_latents: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `visual` and `sync` of a conditioning, from pictures' features [B, V, visual_dim] and sync features
        [B, S, sync_dim]. S is a multiple of 8."""
        placed = sync.unflatten(1, (-1, _SYNC_GROUP)) + self.sync_pos_emb
        embedded = self.sync_in(placed.flatten(1, 2))
        spread = functional.interpolate(embedded.transpose(1, 2), num_latents, mode="nearest-exact").transpose(1, 2)
        return self.visual_proj(visual), spread

    def positions(self, num_latents: int, num_pictures: int) -> Positions:
        """The tables for so many latents and pictures.

        Where they attend to each other, a latent i is at 2i, and a picture at an odd place beside the latent that is
        nearest to it in time.
        """
        latents = torch.arange(num_latents, device=self.device)
        pictures = torch.arange(num_pictures, device=self.device)
        beside = 2 * ((2 * pictures + 1) * num_latents // (2 * num_pictures)) + 1
        return Positions(
            joint=_table(torch.cat([beside, 2 * latents]), self.head_dim),
            cross=_table(torch.cat([pictures, latents]), self.head_dim),
            alone=_table(latents, self.head_dim),
        )

    def forward(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        conditioning: Conditioning,
        check: Callable[[], None] = _unchecked,
    ) -> torch.Tensor:
        """The prediction for latents [B, C, L], in their shape. `timesteps` [B] are from 0 to 1000, in float32. `check`
        is called before every block, and may raise."""
        time = self.time_in(timesteps, latents.dtype)
        audio = self.audio_embedder["proj"](latents).transpose(1, 2) + conditioning.sync
        visual = conditioning.visual
        for block, text in zip(self.triple_blocks, conditioning.text, strict=True):
            check()
            audio, visual = block(audio, visual, time, text, conditioning.positions)
        by_token = conditioning.sync + time[:, None]
        for block in self.single_blocks:
            check()
            audio = block(audio, by_token, conditioning.positions.alone)
        predicted: torch.Tensor = self.final_layer(audio)
        return predicted.transpose(1, 2)


class _GatedLinear(nn.Module):
    """w2(silu(w1 x) * w3 x), without biases (SwiGLU, arXiv:2002.05202)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(inputs, outputs, bias=False)
        self.w2 = nn.Linear(outputs, outputs, bias=False)
        self.w3 = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gated: torch.Tensor = self.w2(functional.silu(self.w1(x)) * self.w3(x))
        return gated


class _GatedConvolution(nn.Module):
    """As `_GatedLinear`, convolved over time. Inputs are [B, N, d]."""

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        inner = -(-int(2 * _MLP_RATIO * width / 3) // _CONVOLVED_MULTIPLE) * _CONVOLVED_MULTIPLE
        options: dict[str, Any] = {"kernel_size": kernel_size, "padding": kernel_size // 2, "bias": False}
        self.w1 = nn.Conv1d(width, inner, **options)
        self.w2 = nn.Conv1d(inner, width, **options)
        self.w3 = nn.Conv1d(width, inner, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        across = x.transpose(1, 2)
        gated: torch.Tensor = self.w2(functional.silu(self.w1(across)) * self.w3(across))
        return gated.transpose(1, 2)


class _TextEmbedding(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        embedded: torch.Tensor = self.linear_2(functional.silu(self.linear_1(states)))
        return embedded


class _TimeEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * _TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, timesteps: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """[B, d] in `dtype`, from timesteps [B] in float32. Cosines come before sines."""
        numbers = torch.arange(_TIME_FREQUENCIES, dtype=torch.float32, device=timesteps.device)
        frequencies = torch.exp(-log(_LONGEST_PERIOD) * numbers / _TIME_FREQUENCIES)
        angles = timesteps.float()[:, None] * frequencies
        embedded: torch.Tensor = self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1).to(dtype))
        return embedded


class _Modulation(nn.Module):
    """`count` vectors, each [..., d], from a vector that says what the time is."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, count * width)
        self.count = count

    def forward(self, vector: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.linear(functional.silu(vector)).chunk(self.count, dim=-1)  # type: ignore[no-any-return]


class _HeadNorm(nn.Module):
    """RMS of each head in float32. The weight is multiplied after the cast back, as the model was trained."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x.float(), self.weight.shape, eps=1e-6).to(x.dtype) * self.weight


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, _MLP_RATIO * width)
        self.fc2 = nn.Linear(_MLP_RATIO * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))
        return hidden


class _TripleBlock(nn.Module):
    """Sound and pictures attend to both, then to the text. The text stays as it is."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        head_dim = width // num_heads
        self.num_heads = num_heads
        self.audio_mod, self.v_cond_mod = _Modulation(width, 9), _Modulation(width, 9)
        self.audio_self_attn_qkv, self.v_cond_attn_qkv = nn.Linear(width, 3 * width), nn.Linear(width, 3 * width)
        self.audio_self_q_norm, self.audio_self_k_norm = _HeadNorm(head_dim), _HeadNorm(head_dim)
        self.v_cond_attn_q_norm, self.v_cond_attn_k_norm = _HeadNorm(head_dim), _HeadNorm(head_dim)
        self.audio_self_proj, self.v_cond_self_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.audio_cross_q, self.v_cond_cross_q = nn.Linear(width, width), nn.Linear(width, width)
        self.audio_cross_q_norm, self.v_cond_cross_q_norm = _HeadNorm(head_dim), _HeadNorm(head_dim)
        self.text_cross_kv, self.text_cross_k_norm = nn.Linear(width, 2 * width), _HeadNorm(head_dim)
        self.audio_cross_proj, self.v_cond_cross_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.audio_mlp, self.v_cond_mlp = _Mlp(width), _Mlp(width)

    def read_text(self, embedded: torch.Tensor, table: Table) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [B, heads, T, head_dim]."""
        key, value = _heads(self.text_cross_kv(embedded), self.num_heads, 2)
        return _rotated(self.text_cross_k_norm(key), table), value

    def forward(
        self,
        audio: torch.Tensor,
        visual: torch.Tensor,
        time: torch.Tensor,
        text: tuple[torch.Tensor, torch.Tensor],
        positions: Positions,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        of_audio, of_visual = (mod(time[:, None]) for mod in (self.audio_mod, self.v_cond_mod))
        lengths = [visual.shape[1], audio.shape[1]]

        query, key, value = _heads(self.audio_self_attn_qkv(_modulated(audio, *of_audio[0:2])), self.num_heads, 3)
        seen = _heads(self.v_cond_attn_qkv(_modulated(visual, *of_visual[0:2])), self.num_heads, 3)
        query = torch.cat([self.v_cond_attn_q_norm(seen[0]), self.audio_self_q_norm(query)], dim=2)
        key = torch.cat([self.v_cond_attn_k_norm(seen[1]), self.audio_self_k_norm(key)], dim=2)
        value = torch.cat([seen[2], value], dim=2)
        both = _attention(_rotated(query, positions.joint), _rotated(key, positions.joint), value)
        of_visual_tokens, of_audio_tokens = both.split(lengths, dim=1)
        audio = audio + of_audio[2] * self.audio_self_proj(of_audio_tokens)
        visual = visual + of_visual[2] * self.v_cond_self_proj(of_visual_tokens)

        (query,) = _heads(self.audio_cross_q(_modulated(audio, *of_audio[3:5])), self.num_heads, 1)
        (asked,) = _heads(self.v_cond_cross_q(_modulated(visual, *of_visual[3:5])), self.num_heads, 1)
        query = torch.cat([self.v_cond_cross_q_norm(asked), self.audio_cross_q_norm(query)], dim=2)
        both = _attention(_rotated(query, positions.cross), *text)
        of_visual_tokens, of_audio_tokens = both.split(lengths, dim=1)
        audio = audio + of_audio[5] * self.audio_cross_proj(of_audio_tokens)
        visual = visual + of_visual[5] * self.v_cond_cross_proj(of_visual_tokens)

        audio = audio + of_audio[8] * self.audio_mlp(_modulated(audio, *of_audio[6:8]))
        visual = visual + of_visual[8] * self.v_cond_mlp(_modulated(visual, *of_visual[6:8]))
        return audio, visual


class _SingleBlock(nn.Module):
    """Sound alone, modulated token by token. What other models project linearly is convolved over time here."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.modulation = _Modulation(width, 6)
        self.linear_qkv = nn.Linear(width, 3 * width)
        # The published code leaves the epsilon to torch: float32's, whatever the dtype.
        epsilon = torch.finfo(torch.float32).eps
        self.q_norm = nn.RMSNorm(width // num_heads, eps=epsilon)
        self.k_norm = nn.RMSNorm(width // num_heads, eps=epsilon)
        self.linear1 = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.linear2 = _GatedConvolution(width, kernel_size=3)

    def forward(self, audio: torch.Tensor, by_token: torch.Tensor, table: Table) -> torch.Tensor:
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(by_token)
        packed = self.linear_qkv(_modulated(audio, shift, scale, eps=1e-5))
        # queries, keys and values alternate fastest
        query, key, value = packed.unflatten(-1, (self.num_heads, -1, 3)).transpose(1, 2).unbind(-1)
        attended = _attention(
            _rotated(self.q_norm(query), table), _rotated(self.k_norm(key), table), value.contiguous()
        )
        audio = audio + gate * self.linear1(attended.transpose(1, 2)).transpose(1, 2)
        audio = audio + mlp_gate * self.linear2(_modulated(audio, mlp_shift, mlp_scale, eps=1e-5))
        return audio


class _FinalLayer(nn.Module):
    """The published files have a modulation here, but the published code never applies it. So the weights were trained
    without."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.linear(functional.layer_norm(audio, audio.shape[-1:], eps=1e-6))
        return projected


def _modulated(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], eps=eps) * (1 + scale) + shift


def _heads(packed: torch.Tensor, num_heads: int, count: int) -> tuple[torch.Tensor, ...]:
    """`count` tensors [B, heads, N, head_dim] from one [B, N, count * d]."""
    apart: tuple[torch.Tensor, ...] = packed.unflatten(-1, (count, num_heads, -1)).transpose(1, 3).unbind(2)
    return apart


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """[B, N, d] from heads apart."""
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def _table(positions: torch.Tensor, head_dim: int) -> Table:
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions.float()[:, None] * (1 / _ROTARY_THETA**exponents)
    return angles.cos(), angles.sin()


def _rotated(x: torch.Tensor, table: Table) -> torch.Tensor:
    """Neighbouring numbers of each head turned by their position's angles (arXiv:2104.09864), in float32."""
    cosine, sine = table
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.flatten(-2).to(x.dtype)

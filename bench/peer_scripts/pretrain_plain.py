"""bench/peer_scripts/pretrain_plain: a LLaMA-shaped model as a short teaching script would write it.

Stock torch modules, fused projections, torch's own attention, norm and cross-entropy; nothing clever and nothing slow.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class PlainBlock(nn.Module):
    """Attention and a gated feed-forward, each on a normalised copy."""

    def __init__(self, width: int, heads: int, mlp_width: int, norm_eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.attn_norm = nn.RMSNorm(width, eps=norm_eps)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width, eps=norm_eps)
        self.gate_up = nn.Linear(width, 2 * mlp_width, bias=False)
        self.down = nn.Linear(mlp_width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """b t d -> b t d."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.attn_norm(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(turned(q, cos, sin), turned(k, cos, sin), v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, d))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        done: Tensor = x + self.down(functional.silu(gate) * up)
        return done


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on b h t c."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Plain(nn.Module):
    """The whole model, with its loss."""

    def __init__(self, shape: dict[str, Any]) -> None:
        super().__init__()
        width, mlp_width, norm_eps = shape["width"], shape["mlp_width"], shape["norm_eps"]
        heads, depth = shape["heads"], shape["depth"]
        self.head_dim = width // heads
        self.embed = nn.Embedding(shape["vocab"], width)
        self.blocks = nn.ModuleList(PlainBlock(width, heads, mlp_width, norm_eps) for _ in range(depth))
        self.norm = nn.RMSNorm(width, eps=norm_eps)
        for matrix in (one for one in self.parameters() if one.ndim == 2):
            nn.init.normal_(matrix, 0.0, shape["init_std"])

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the targets."""
        x = self.embed(ids)
        frequencies = 10_000.0 ** (-torch.arange(0, self.head_dim, 2, dtype=torch.float32) / self.head_dim)
        angles = torch.outer(torch.arange(ids.shape[1]).float(), frequencies)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        logits = functional.linear(self.norm(x), self.embed.weight)
        return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100)

"""model/layers: the parts of a block that are not attention: linear maps, norms, dropout and the feed-forward.

Weights are float32 masters; each map casts its weight to the dtype of what it is given, so there is no autocast and no
second copy of the model. Does not initialise: see model/initialize.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from whorl.model.config import Activation, ModelConfig
from whorl.model.kernels import gelu_gated, layer_norm, rms_norm, silu_gated, squared_relu

__all__ = [
    "ACTIVATIONS",
    "Dropout",
    "LayerNorm",
    "Linear",
    "Product",
    "RMSNorm",
    "build_mlp",
    "build_norm",
    "cast",
    "gate_of",
    "product",
]


def cast(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The tensor in another dtype, or None."""
    return None if tensor is None else tensor.to(dtype)


Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def product(x: Float[Tensor, "... i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> Tensor:
    """x W^T (+ b), multiplied in the dtype of x."""
    return functional.linear(x, weight.to(x.dtype), cast(bias, x.dtype))


class Linear(nn.Module):
    """y = x W^T (+ b) with W (out, in)."""

    def __init__(self, in_dim: int, out_dim: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_dim, in_dim))
        self.bias = nn.Parameter(torch.zeros(out_dim)) if bias else None
        self.product: Product = product  # model/fp8 puts another in its place

    def forward(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """The mapped vectors."""
        return self.product(x, self.weight, self.bias)


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis. https://arxiv.org/abs/1910.07467"""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """The normalised vectors, in the dtype of x."""
        return rms_norm(x, self.weight, eps=self.eps)


class LayerNorm(nn.Module):
    """(x - mean(x)) / std(x) * weight (+ bias) over the last axis. https://arxiv.org/abs/1607.06450"""

    def __init__(self, dim: int, eps: float, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None
        self.eps = eps

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """The normalised vectors, in the dtype of x."""
        return layer_norm(x, self.weight, self.bias, eps=self.eps)


def build_norm(config: ModelConfig, *, present: bool = True) -> nn.Module:
    """The norm over the residual stream that the config's axes name; the identity where there is none."""
    if not present:
        return nn.Identity()
    if config.norm == "rms":
        return RMSNorm(config.width, config.norm_eps)
    return LayerNorm(config.width, config.norm_eps, bias=config.norm_bias)


class Dropout(nn.Module):
    """Zeroes a share of the values while training and scales up the rest. https://jmlr.org/papers/v15/srivastava14a.html

    The draw is torch's global generator's: who trains seeds it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0  # set by Transformer.set_dropout

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The thinned values."""
        return functional.dropout(x, self.rate, self.training) if self.rate else x


def _gelu_tanh(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "relu": functional.relu,
    "relu2": squared_relu,  # https://arxiv.org/abs/2109.08668
    "gelu": functional.gelu,
    "gelu_tanh": _gelu_tanh,
}


_GATES: Mapping[Activation, Callable[[Tensor, Tensor], Tensor]] = {"silu": silu_gated, "gelu": gelu_gated}  # in one pass


def gate_of(activation: Activation) -> Callable[[Tensor, Tensor], Tensor]:
    """act(gate) * up, as a function of gate and up."""
    return _GATES.get(activation) or partial(_gated, ACTIVATIONS[activation])


def _gated(activation: Callable[[Tensor], Tensor], gate: Tensor, up: Tensor) -> Tensor:
    return activation(gate) * up


class GatedMLP(nn.Module):
    """down(act(gate x) * up x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = Linear(config.width, config.mlp_width, bias=config.mlp_bias)
        self.up = Linear(config.width, config.mlp_width, bias=config.mlp_bias)
        self.down = Linear(config.mlp_width, config.width, bias=config.mlp_bias)
        self.gated = gate_of(config.activation)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """What the block adds to the residual stream."""
        out: Tensor = self.down(self.gated(self.gate(x), self.up(x)))
        return out


class PlainMLP(nn.Module):
    """down(act(up x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = Linear(config.width, config.mlp_width, bias=config.mlp_bias)
        self.down = Linear(config.mlp_width, config.width, bias=config.mlp_bias)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """What the block adds to the residual stream."""
        out: Tensor = self.down(self.activation(self.up(x)))
        return out


def build_mlp(config: ModelConfig) -> nn.Module:
    """The dense feed-forward that the config's axes name."""
    return GatedMLP(config) if config.gated else PlainMLP(config)

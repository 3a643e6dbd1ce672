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
from whorl.model.gated_maps import can_feed, fed
from whorl.model.kernels import gelu_gated, silu_gated, squared_relu, stacked
from whorl.model.maps import can_map, mapped
from whorl.model.norms import Beside, layer_norm, layer_norm_beside, rms_norm, rms_norm_beside

__all__ = [
    "ACTIVATIONS",
    "Dropout",
    "GatedMLP",
    "LayerNorm",
    "Linear",
    "NoNorm",
    "Norm",
    "Product",
    "RMSNorm",
    "bias_of",
    "build_mlp",
    "build_norm",
    "cast",
    "gate_of",
    "product",
]


def cast(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The tensor in another dtype, or None."""
    return None if tensor is None else tensor.to(dtype)


Product = Callable[[Tensor, tuple[Tensor, ...], tuple[Tensor | None, ...]], Tensor]


def product(
    x: Float[Tensor, "... i"], weights: tuple[Float[Tensor, "_ i"], ...], biases: tuple[Float[Tensor, " _"] | None, ...]
) -> Float[Tensor, "... o"]:
    """x W^T (+ b) with the weights one below another, multiplied in the dtype of x.

    Maps of one input are one product instead of several: a tenth of a block's matrix time at width 128, and the gradient of
    the input needs no sums. All of them have a bias, or none.
    """
    if not any(bias is not None for bias in biases) and can_map(x, weights):
        return mapped(x, weights)
    return functional.linear(x, stacked(weights, x.dtype), bias_of(biases, x.dtype))


def bias_of(biases: tuple[Float[Tensor, " _"] | None, ...], dtype: torch.dtype) -> Float[Tensor, " o"] | None:
    """The biases one behind another, or None where there are none."""
    given = tuple(one for one in biases if one is not None)
    assert len(given) in {0, len(biases)}, "some of several maps have a bias, others none"
    return stacked(given, dtype) if given else None


class Linear(nn.Module):
    """y = x W^T (+ b) with W (out, in)."""

    def __init__(self, in_dim: int, out_dim: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_dim, in_dim))
        self.bias = nn.Parameter(torch.zeros(out_dim)) if bias else None
        self.product: Product = product  # model/fp8 puts another in its place

    def forward(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """The mapped vectors."""
        return self.product(x, (self.weight,), (self.bias,))


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis. https://arxiv.org/abs/1910.07467"""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """The normalised vectors, in the dtype of x."""
        return rms_norm(x, self.weight, eps=self.eps)

    def beside(self, x: Float[Tensor, "... d"]) -> Beside:
        """x and its norm, for who goes on with both."""
        return rms_norm_beside(x, self.weight, eps=self.eps)


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

    def beside(self, x: Float[Tensor, "... d"]) -> Beside:
        """x and its norm, for who goes on with both."""
        return layer_norm_beside(x, self.weight, self.bias, eps=self.eps)


class NoNorm(nn.Module):
    """Where another model has a norm, nothing."""

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """What was given."""
        return x

    def beside(self, x: Float[Tensor, "... d"]) -> Beside:
        """It twice."""
        return Beside(x, x)


Norm = RMSNorm | LayerNorm | NoNorm


def build_norm(config: ModelConfig, *, present: bool = True) -> Norm:
    """The norm over the residual stream that the config's axes name."""
    if not present:
        return NoNorm()
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


_GATES: Mapping[Activation, Callable[[Tensor], Tensor]] = {"silu": silu_gated, "gelu": gelu_gated}  # in one pass


def gate_of(activation: Activation) -> Callable[[Tensor], Tensor]:
    """act(gate) * up, as a function of gates and, behind them along the last axis, ups."""
    return _GATES.get(activation) or partial(_gated, ACTIVATIONS[activation])


def _gated(activation: Callable[[Tensor], Tensor], both: Float[Tensor, "... f"]) -> Float[Tensor, "... e"]:
    gate, up = both.chunk(2, dim=-1)
    return activation(gate) * up


class GatedMLP(nn.Module):
    """down(act(gate x) * up x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = Linear(config.width, config.mlp_width, bias=config.mlp_bias)
        self.up = Linear(config.width, config.mlp_width, bias=config.mlp_bias)
        self.down = Linear(config.mlp_width, config.width, bias=config.mlp_bias)
        self.activation: Activation = config.activation
        self.gated = gate_of(config.activation)
        self.product: Product = product  # of gate and up at once; see Linear

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """What the block adds to the residual stream."""
        weights = self.gate.weight, self.up.weight, self.down.weight
        is_plain = self.gate.bias is None and self.product is product and self.down.product is product
        if is_plain and can_feed(x, weights, self.activation):
            return fed(x, weights, self.activation)
        both = self.product(x, (self.gate.weight, self.up.weight), (self.gate.bias, self.up.bias))
        out: Tensor = self.down(self.gated(both))
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

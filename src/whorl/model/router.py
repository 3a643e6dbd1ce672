"""model/router: which experts each token uses and with what weights, and what keeps the experts' loads even.

Scores and losses are float32 whatever the model computes in: a rounded score sends a token elsewhere. Every choice is kept:
no expert is ever full and no token is dropped. Does not compute experts (model/experts) and does not add anything to a loss:
who trains asks for `side_loss` after a forward pass, and for `balanced` after an optimizer step.

Softmax router: https://arxiv.org/abs/1701.06538; sigmoid router: https://arxiv.org/abs/2412.19437.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from whorl.model.config import ModelConfig
from whorl.model.layers import Product, product

__all__ = ["Router", "Routing", "balance_loss", "balanced", "crowding", "expert_loads", "route", "side_loss", "z_loss"]

_TINY = 1e-20  # added to sums of scores: sigmoids of very low logits may all be zero


def _softmax(logits: Float[Tensor, "n e"]) -> Float[Tensor, "n e"]:
    return logits.softmax(dim=-1)


SCORES: Mapping[str, Callable[[Tensor], Tensor]] = {"softmax": _softmax, "sigmoid": torch.sigmoid}


class Routing(NamedTuple):
    """Where tokens go; `top` experts for each."""

    chosen: Int[Tensor, "n top"]  # best first, no expert twice
    weights: Float[Tensor, "n top"]  # float32, carries gradients to the router


class _Notes(NamedTuple):
    """What a forward pass leaves for `side_loss`."""

    logits: Float[Tensor, "n e"]
    scores: Float[Tensor, "n e"]
    chosen: Int[Tensor, "n top"]


def route(
    scores: Float[Tensor, "n e"], bias: Float[Tensor, " e"] | None, *, top: int, normalise: bool, scale: float = 1.0
) -> Routing:
    """The `top` experts with the highest score plus bias. The bias only chooses: weights are made of the bare scores.

    `normalise`: the weights of a token sum to `scale`; otherwise they are its scores times `scale`.
    """
    ranked = scores if bias is None else scores + bias
    chosen = ranked.topk(top, dim=-1).indices
    weights = scores.gather(-1, chosen)
    if normalise:
        weights = weights / (weights.sum(dim=-1, keepdim=True) + _TINY)
    return Routing(chosen, weights if scale == 1.0 else weights * scale)


def expert_loads(chosen: Int[Tensor, "n top"], held: Bool[Tensor, " n"], num_experts: int) -> Int[Tensor, " e"]:
    """How many tokens each expert was given; those that hold no text count nowhere."""
    weight = held.unsqueeze(-1).expand_as(chosen).long()
    zeros = torch.zeros(num_experts, dtype=torch.int64, device=chosen.device)
    return zeros.scatter_add_(0, chosen.flatten(), weight.flatten())


def balance_loss(scores: Float[Tensor, "n e"], chosen: Int[Tensor, "n top"], held: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
    """e * sum over experts of (share of tokens that use it) * (mean score); `top` when loads are even, up to e when not.

    Scores of a token are first made to sum to one. https://arxiv.org/abs/2101.03961, equations 4 to 6; equal to
    transformers' load_balancing_loss_func on the same rows by test. 0 where no token holds text.
    """
    num_tokens = held.sum().clamp(min=1)
    shares = scores / (scores.sum(dim=-1, keepdim=True) + _TINY)  # n e
    mean_share = (shares * held.unsqueeze(-1)).sum(dim=0) / num_tokens
    used = expert_loads(chosen, held, scores.shape[-1]) / num_tokens
    return scores.shape[-1] * (used * mean_share).sum()


def z_loss(logits: Float[Tensor, "n e"], held: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean squared log-sum-exp of the logits, which keeps them small. https://arxiv.org/abs/2202.08906, equation 5."""
    squares = logits.logsumexp(dim=-1).square()
    return (squares * held).sum() / held.sum().clamp(min=1)


class Router(nn.Module):
    """Scores experts for every token and chooses the best. `bias` moves only by `rebalance`, never by a gradient."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.top, self.normalise, self.scale = config.experts_per_token, config.normalise_top, config.routed_scale
        self.balance_weight = config.balance_weight if config.balance == "loss" else 0.0
        self.bias_step = config.balance_weight if config.balance == "bias" else 0.0
        self.z_weight = config.router_z
        self.score = SCORES[config.router]
        self.weight = nn.Parameter(torch.zeros(config.experts, config.width))
        self.product: Product = product  # model/packed puts another in its place
        self.register_buffer("bias", torch.zeros(config.experts) if config.balance == "bias" else None)
        self.bias: Tensor | None
        # Of the optimizer step under way; a state is saved between steps, when it is zero.
        self.register_buffer("loads", torch.zeros(config.experts, dtype=torch.int64), persistent=False)
        self.loads: Tensor
        self.is_listening = False
        self.notes: _Notes | None = None

    def forward(self, x: Float[Tensor, "n d"]) -> Routing:
        """Where each token goes."""
        logits = self.product(x.float(), (self.weight.float(),), (None,))  # n e
        scores = self.score(logits)
        routing = route(scores, self.bias, top=self.top, normalise=self.normalise, scale=self.scale)
        if self.is_listening:
            self.notes = _Notes(logits, scores, routing.chosen)
        return routing

    def listen(self) -> None:
        """Keep what the next forward pass sees until `take` is called.

        Not at other times, because activation checkpointing runs a forward pass again when nobody will ask about it.
        """
        self.is_listening = torch.is_grad_enabled() and self.training
        self.notes = None

    def take(self, held: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
        """Count the loads of the last forward pass and give its weighted losses, a mean over tokens that hold text."""
        assert self.notes is not None, "a router is asked for its loss after a forward pass in training mode with gradients"
        logits, scores, chosen = self.notes
        self.is_listening, self.notes = False, None
        self.loads += expert_loads(chosen, held, len(self.loads))
        loss = logits.new_zeros(())
        if self.balance_weight:
            loss = loss + self.balance_weight * balance_loss(scores, chosen, held)
        if self.z_weight:
            loss = loss + self.z_weight * z_loss(logits, held)
        return loss

    @torch.no_grad()
    def rebalance(self) -> Int[Tensor, " e"]:
        """Lift the bias of experts below the mean load by one step and lower that of those above; the loads, then forgotten.

        https://arxiv.org/abs/2408.15664, algorithm 1.
        """
        loads = self.loads.clone()
        if self.bias is not None:
            # Whole numbers: e * load against their sum, so that an exactly even expert stays where it is.
            self.bias += self.bias_step * (loads.sum() - loads * len(loads)).sign()
        self.loads.zero_()
        return loads


def side_loss(routers: Sequence[Router], held: Bool[Tensor, "b t"]) -> Float[Tensor, ""] | None:
    """Mean over layers of what their routers add to the mean loss of a token; None without routers.

    Each layer is balanced by itself: pooling layers first would let one make up for another.
    """
    if not routers:
        return None
    rows = held.flatten()
    return torch.stack([router.take(rows) for router in routers]).mean()


def balanced(routers: Sequence[Router]) -> Int[Tensor, "l e"] | None:
    """Rebalance every router by the loads of the optimizer step that ends; these loads, or None without routers."""
    return torch.stack([router.rebalance() for router in routers]) if routers else None


def crowding(loads: Int[Tensor, "l e"]) -> Float[Tensor, ""]:
    """The fullest expert's load over its layer's mean load, in the worst layer: 1 when even, e / top at worst."""
    return (loads.max(dim=-1).values * loads.shape[-1] / loads.sum(dim=-1).clamp(min=1)).max()

"""model/heads: what stands between the last hidden states and an answer that is more than one matrix.

Does not hold the output matrix: that is the Transformer's, because it may be the embedding.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from whorl.model.config import ModelConfig
from whorl.model.layers import ACTIVATIONS, Linear, build_norm

__all__ = ["Pooler", "Transform", "pooled"]


class Transform(nn.Module):
    """norm(act(dense(x))): the layer before the output matrix of masked models. https://arxiv.org/abs/1810.04805"""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width, bias=config.head_transform_bias)
        self.norm = build_norm(config)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Hidden states ready for the output matrix."""
        out: Tensor = self.norm(self.activation(self.dense(x)))
        return out


class Pooler(nn.Module):
    """tanh(dense(x)): the layer between what stands for a sequence and its classes. https://arxiv.org/abs/1810.04805"""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width, bias=True)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """States ready for the matrix of the classes."""
        return torch.tanh(self.dense(x))


def pooled(
    hidden: Float[Tensor, "b t d"], docs: Int[Tensor, "b t"], *, pooler: Literal["first", "mean"]
) -> Float[Tensor, "n d"]:
    """What stands for each document: its first place, or the mean of all of them; row after row, padding (-1) left out.

    Waits for the device, to learn how many documents there are.
    """
    begins = torch.ones_like(docs, dtype=torch.bool)
    begins[:, 1:] = docs[:, 1:] != docs[:, :-1]
    begins, states = (begins & (docs >= 0)).flatten(), hidden.flatten(0, 1)
    if pooler == "first":
        return states[begins]
    is_text = (docs >= 0).flatten()
    owner = begins.cumsum(0)[is_text] - 1
    sizes = torch.bincount(owner, minlength=int(begins.sum()))
    sums = torch.zeros(len(sizes), states.shape[1], dtype=torch.float32, device=states.device)
    return (sums.index_add(0, owner, states[is_text].float()) / sizes.unsqueeze(1)).to(states.dtype)

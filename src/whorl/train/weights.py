"""train/weights: what each parameter of a model is there for, so that optimizers can treat kinds differently.

Told by what holds the parameter, never by its name. Does not decide how a kind is treated.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from whorl.model.transformer import Transformer

__all__ = ["Role", "Weight", "weights_of"]

Role = Literal["matrix", "embedding", "head", "vector"]


@dataclass(frozen=True)
class Weight:
    """One trainable tensor: its name in the model, and what it is there for."""

    name: str
    tensor: nn.Parameter
    role: Role


def weights_of(model: Transformer) -> list[Weight]:
    """Every trainable parameter with its role, in the model's order. A tied output matrix is the embedding."""
    embeddings = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    named = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    return [Weight(name, tensor, _role(tensor, embeddings, model.head_weight)) for name, tensor in named]


def _role(tensor: Tensor, embeddings: set[Tensor], head: Tensor) -> Role:
    if tensor in embeddings:
        return "embedding"
    if tensor is head:
        return "head"
    return "matrix" if tensor.ndim == 2 else "vector"

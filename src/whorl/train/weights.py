"""train/weights: what each parameter of a model is there for, so that optimizers can treat kinds differently.

Told by what holds the parameter, never by its name: `embedding` has rows that are looked up, `head` scores the answers a model
gives (tokens, classes), `matrix` is any other map, or a stack of maps (e r c), `vector` the rest. Does not decide how a kind is
treated.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from whorl.model.transformer import Transformer

__all__ = ["Role", "Weight", "gradient_of", "weights_of"]

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
    heads = {model.head_weight} | ({model.classifier.weight} if model.classifier is not None else set())
    named = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    return [Weight(name, tensor, _role(tensor, embeddings, heads)) for name, tensor in named]


def gradient_of(weight: Weight) -> Tensor:
    """The gradient of a weight; every weight handed to a stepper must be reached by the loss."""
    assert weight.tensor.grad is not None, f"{weight.name} has no gradient: the loss does not reach it"
    return weight.tensor.grad


def _role(tensor: Tensor, embeddings: set[Tensor], heads: set[Tensor]) -> Role:
    if tensor in embeddings:
        return "embedding"
    if tensor in heads:
        return "head"
    return "matrix" if tensor.ndim in (2, 3) else "vector"

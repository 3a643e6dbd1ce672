"""model/heads: what stands between the last hidden states and an answer that is more than one matrix.

Does not hold the output matrix: that is the Transformer's, because it may be the embedding.
"""

from jaxtyping import Float
from torch import Tensor, nn

from whorl.model.config import ModelConfig
from whorl.model.layers import ACTIVATIONS, Linear, build_norm

__all__ = ["Transform"]


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

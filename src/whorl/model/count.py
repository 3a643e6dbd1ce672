"""model/count: exact parameter and multiply-add counts of a config, by arithmetic, without building the model.

Does not estimate memory or time.
"""

from typing import NamedTuple

from whorl.model.config import ModelConfig

__all__ = ["Parameters", "flops_per_token", "parameters"]


class Parameters(NamedTuple):
    """Numbers of learned values."""

    embedding: int  # the table that ids look up
    blocks: int  # everything between
    head: int  # the output matrix; 0 when it is the embedding

    @property
    def total(self) -> int:
        """All of them."""
        return self.embedding + self.blocks + self.head


def parameters(config: ModelConfig) -> Parameters:
    """How many parameters a model of this config has; tied matrices count once."""
    table = config.vocab_size * config.width
    norms = 2 * config.width + (2 * config.head_dim if config.qk_norm else 0)
    blocks = config.depth * (_block_matrices(config) + norms) + config.width  # the last width: the final norm
    return Parameters(embedding=table, blocks=blocks, head=0 if config.tied else table)


def flops_per_token(config: ModelConfig, width: int) -> int:
    """Floating-point operations of forward and backward for one token of a sequence of `width` tokens.

    Two per multiply-add, backward twice forward; matrices and attention products only, and a causal query is charged the
    mean number of keys it sees.
    """
    keys = (width + 1) / 2 if config.causal else width
    attention = 2 * config.depth * config.heads * config.head_dim * keys  # q k^T and weights times v, multiply-adds
    matrices = config.depth * _block_matrices(config) + config.vocab_size * config.width
    return round(6 * (matrices + attention))


def _block_matrices(config: ModelConfig) -> int:
    attention = 2 * config.width * config.head_dim * (config.heads + config.kv_heads)
    return attention + (3 if config.gated else 2) * config.width * config.mlp_width

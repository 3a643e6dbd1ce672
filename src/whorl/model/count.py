"""model/count: exact parameter and multiply-add counts of a config, by arithmetic, without building the model.

Does not estimate memory or time.
"""

from typing import NamedTuple

from whorl.model.config import ModelConfig

__all__ = ["Parameters", "active_parameters", "flops_per_token", "parameters"]


class Parameters(NamedTuple):
    """Numbers of learned values."""

    embedding: int  # the tables that ids, learned positions and segments look up, and their norm
    blocks: int  # everything between
    head: int  # the output matrix (0 when it is the embedding) and what stands before and beside it

    @property
    def total(self) -> int:
        """All of them."""
        return self.embedding + self.blocks + self.head


def parameters(config: ModelConfig) -> Parameters:
    """How many parameters a model of this config has; tied matrices count once."""
    norm = config.width * (2 if config.norm_bias else 1)
    places = config.max_positions if config.positions == "learned" else 0
    embedding = config.width * (config.vocab_size + places + config.segments) + norm * config.embed_norm
    blocks = sum(_block(config, layer) + 2 * norm for layer in range(config.depth)) + norm * config.final_norm
    if not config.first_norm:
        blocks -= norm
    head = config.vocab_size * (config.width * (not config.tied) + config.head_bias)
    if config.head_transform:
        head += config.width * (config.width + config.head_transform_bias) + norm
    if config.pooler_dense:
        head += config.width * (config.width + 1)
    head += config.classes * (config.width + 1)
    return Parameters(embedding, blocks, head)


def active_parameters(config: ModelConfig) -> Parameters:
    """How many of them one token is computed with: of the experts, those it chooses. All of them in a dense model."""
    every = parameters(config)
    idle = sum(_matrices(config, layer, used=False) - _matrices(config, layer, used=True) for layer in range(config.depth))
    return every._replace(blocks=every.blocks - idle)


def flops_per_token(config: ModelConfig, width: int) -> int:
    """Floating-point operations of forward and backward for one token of a sequence of `width` tokens.

    Two per multiply-add, backward twice forward; matrices and attention products only; a query is charged the mean number of
    keys it sees, and a token the experts it uses.
    """
    # q k^T and weights times v, multiply-adds
    attention = sum(2 * config.heads * config.head_dim * _mean_keys(config, layer, width) for layer in range(config.depth))
    matrices = sum(_matrices(config, layer, used=True) for layer in range(config.depth)) + config.vocab_size * config.width
    if config.head_transform:
        matrices += config.width**2
    return round(6 * (matrices + attention))


def _mean_keys(config: ModelConfig, layer: int, width: int) -> float:
    """How many keys a query sees, on average over a sequence of `width` tokens."""
    window = min(config.view(layer).window or width, width)
    behind = window * (window - 1) / 2 + (width - window) * (window - 1)  # summed over the queries, their own place left out
    return (behind if config.causal else 2 * behind) / width + 1


def _block(config: ModelConfig, layer: int) -> int:
    """Parameters of a block without its two norms over the stream."""
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    norms = {"none": 0, "head": 2 * config.head_dim, "all": q + kv}[config.qk_norm]
    biases = (q + 2 * kv) * config.attn_bias + config.width * config.out_bias
    if config.mlp_bias and not config.has_experts(layer):
        biases += config.mlp_width * (2 if config.gated else 1) + config.width
    return _matrices(config, layer, used=False) + norms + biases


def _matrices(config: ModelConfig, layer: int, *, used: bool) -> int:
    """Entries of a block's matrices; `used`: only those that one token is multiplied with."""
    attention = 2 * config.width * config.head_dim * (config.heads + config.kv_heads)
    maps = 3 if config.gated else 2
    if not config.has_experts(layer):
        return attention + maps * config.width * config.mlp_width
    count = config.experts_per_token if used else config.experts
    router = config.width * (config.experts + config.shared_gate)
    return attention + router + maps * config.width * (count * config.expert_width + config.shared_width)

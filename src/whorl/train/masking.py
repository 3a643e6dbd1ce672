"""train/masking: hide some tokens of packed rows, to be told from those around them.

Every document, or piece of one, is masked by itself, whatever shares its row: of its n tokens of text, `rate` n are hidden,
rounded up or down at random, so that the share is `rate` to less than one token in each and exact in the mean. Special tokens
and padding are never hidden and never written in. A pure function of the batch and the generator. Does not train.
Masking: https://arxiv.org/abs/1810.04805; more of it: https://arxiv.org/abs/2202.08005.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from whorl.core.errors import ConfigError
from whorl.tokens.batch import Batch
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Masking", "masked_batch", "required_mask"]


class Masking(NamedTuple):
    """Which share of the tokens is hidden, and what is written in their places; the rest of them becomes the mask."""

    rate: float  # of the tokens of text, above 0
    random: float  # share of the hidden that another token replaces
    keep: float  # share that stays as it was


def required_mask(tokenizer: Tokenizer) -> int:
    """The id of the mask. Raises ConfigError, saying how to get one, when the vocabulary has none."""
    if tokenizer.mask is None:
        raise ConfigError(
            f"tokenizer {tokenizer.fingerprint[:12]} has no token that stands for a hidden one; learn it with mask: true "
            "(tokens.learn), or bring it in with mask: '<|mask|>' (tokens.load), and encode the corpus again"
        )
    return tokenizer.mask


def masked_batch(batch: Batch, masking: Masking, rng: np.random.Generator, tokenizer: Tokenizer) -> Batch:
    """The batch with tokens hidden; targets are what they were, with weight 1 there and 0 elsewhere."""
    is_text = (batch.docs >= 0) & ~np.isin(batch.ids, tokenizer.special_ids)
    is_hidden = _chosen(batch, is_text, masking.rate, rng)
    return replace(
        batch,
        ids=_rewritten(batch.ids, is_hidden, masking, rng, tokenizer),
        targets=np.where(is_hidden, batch.ids, 0),
        weights=is_hidden.astype(np.float32),
    )


def _chosen(batch: Batch, may_be: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """In each document, the lowest draws of its places win."""
    piece = pieces_of(batch.docs)
    places = np.flatnonzero(may_be)
    owner = piece.ravel()[places]
    num_places = np.bincount(owner, minlength=int(piece.max()) + 1)
    num_hidden = np.floor(num_places * rate + rng.random(len(num_places))).astype(np.int64)
    order = np.lexsort((rng.random(len(places)), owner))
    rank = np.arange(len(places)) - np.repeat(np.cumsum(num_places) - num_places, num_places)
    chosen = np.zeros(may_be.size, dtype=bool)
    chosen[places[order[rank < num_hidden[owner[order]]]]] = True
    return chosen.reshape(may_be.shape)


def pieces_of(docs: np.ndarray) -> np.ndarray:
    """A number for each document of each row, `b t`, ascending along rows; padding has numbers of its own."""
    begins = np.ones(docs.shape, dtype=np.int64)
    begins[:, 1:] = docs[:, 1:] != docs[:, :-1]
    return begins.cumsum().reshape(docs.shape) - 1


def _rewritten(
    ids: np.ndarray, is_hidden: np.ndarray, masking: Masking, rng: np.random.Generator, tokenizer: Tokenizer
) -> np.ndarray:
    """Masks, other tokens and the same tokens where something is hidden."""
    num_hidden = int(is_hidden.sum())
    draws = rng.random(num_hidden)
    others = tokenizer.plain_ids[rng.integers(0, len(tokenizer.plain_ids), num_hidden)]
    is_random, is_kept = draws < masking.random, draws >= 1 - masking.keep
    written = np.where(is_random, others, required_mask(tokenizer))
    out = ids.copy()
    out[is_hidden] = np.where(is_kept, ids[is_hidden], written)
    return out

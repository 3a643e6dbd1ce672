"""infer/scoring: log-probabilities of given tokens, from hidden states or from whole sequences, never holding all logits.

Does not cache keys and values: whole sequences are read once, in batches of like length.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.model.mask import PADDING, MaskSpec
from whorl.model.transformer import Transformer

__all__ = ["batches", "score_sequences", "target_logprobs"]

LOGITS = 2**23  # numbers of logits held at a time
TOKENS = 16_384  # of one forward pass, padding included


def target_logprobs(
    logits_of: Callable[[Tensor], Tensor], hidden: Float[Tensor, "n d"], targets: Int[Tensor, " n"], *, vocab_size: int
) -> Float[Tensor, " n"]:
    """Nats of each target after its hidden state, float32."""
    rows = max(1, LOGITS // vocab_size)
    found = []
    for part, chosen in zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True):
        logits = logits_of(part)
        found.append(logits.gather(1, chosen[:, None]).squeeze(1) - logits.logsumexp(dim=-1))
    return torch.cat(found)


def score_sequences(model: Transformer, sequences: Sequence[Sequence[int]], *, pad_id: int) -> list[np.ndarray]:
    """Log-probability of every token after the first, float32, for each sequence."""
    scores: list[np.ndarray] = [np.zeros(0, dtype=np.float32)] * len(sequences)
    for chosen in batches([len(sequence) for sequence in sequences], rows=TOKENS, tokens=TOKENS):
        found = _scored(model, [sequences[i] for i in chosen], pad_id=pad_id)
        for place, logprobs in zip(chosen, found, strict=True):
            scores[place] = logprobs
    return scores


def _scored(model: Transformer, sequences: Sequence[Sequence[int]], *, pad_id: int) -> list[np.ndarray]:
    device = model.embed.weight.device
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    ids = torch.full((len(sequences), int(lengths.max())), pad_id)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.as_tensor(sequence)
    columns = torch.arange(ids.shape[1])
    docs = torch.where(columns < lengths[:, None], 0, PADDING).to(device)
    ids = ids.to(device)
    hidden = model(ids, mask=MaskSpec(docs=docs))
    is_scored = docs[:, 1:] != PADDING  # row t predicts t + 1
    found = target_logprobs(model.logits, hidden[:, :-1][is_scored], ids[:, 1:][is_scored], vocab_size=model.config.vocab_size)
    return np.split(found.cpu().numpy(), np.cumsum(lengths.numpy() - 1)[:-1])


def batches(lengths: Sequence[int], *, rows: int, tokens: int) -> Iterator[list[int]]:
    """Places in order of length, cut so that no batch has more rows or, padded to its longest, more tokens."""
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and end - begin < rows and lengths[order[end]] * (end + 1 - begin) <= tokens:
            end += 1
        yield order[begin:end]
        begin = end

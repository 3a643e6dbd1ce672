"""infer/engine: batched decoding and scoring of token ids with the training model's own forward and a key-value cache.

Requests of like length share a batch, left-padded; finished rows leave it. What a request gets depends on nothing but itself:
not on its neighbours, not on its place. Does not know text, chat markup or HTTP, and does not admit requests to a batch
that is under way.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whorl.core.errors import DataError, UsageError
from whorl.core.seed import Seed
from whorl.infer.sampler import Past, Sampling, Settings, adjust, choose
from whorl.model.cache import KVCache
from whorl.model.cross_entropy import token_logprobs
from whorl.model.mask import PADDING, MaskSpec
from whorl.model.transformer import Transformer

__all__ = ["Engine", "Generated", "Sampling"]

ROWS = 128  # requests decoded together: past this the matrices are full and the cache leaves the processor's own memory
PREFILL_TOKENS = 16_384  # of one forward pass, padding included
CROWDED = 0.7  # a batch with fewer living rows than this share is copied together; copying costs about one step

Finish = Literal["stop", "length", "aborted"]


@dataclass(frozen=True)
class Generated:
    """What one request got. The stop token, when there is one, is the last of `ids`."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats, of each id under the model itself (temperature 1, nothing cut off)
    finish: Finish
    error: str = ""  # why it was aborted


class Engine:
    """A model that answers. Weights may change between calls; build a new engine after loading others."""

    def __init__(self, model: Transformer, *, stop_ids: Collection[int], pad_id: int, rows: int = ROWS) -> None:
        self.model = model
        self.stop_ids = frozenset(stop_ids)
        self.pad_id = pad_id
        self.rows = rows

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, *, seeds: Sequence[int] | None = None
    ) -> list[Generated]:
        """An answer to each prompt, in order.

        `seeds` (one per request) fix the draws of each request whatever else is asked; without them, request i draws from
        `sampling.seed` and i. Raises DataError for a prompt that is empty, holds unknown ids or leaves too little context,
        UsageError for a model that is not causal or a bias on an id it does not have.
        """
        self._check_causal("write")
        for number, prompt in enumerate(prompts):
            self._check(prompt, f"prompt {number}", answer=sampling.max_tokens)
        strange = sorted(token for token in sampling.logit_bias if not 0 <= token < self.model.config.vocab_size)
        if strange:
            raise UsageError(f"logit_bias names id {strange[0]}; want ids from 0 to {self.model.config.vocab_size - 1}")
        own = seeds or [Seed(sampling.seed).child(str(number)).number for number in range(len(prompts))]
        answers: list[Generated | None] = [None] * len(prompts)
        for chosen in _batches([len(prompt) for prompt in prompts], rows=self.rows, tokens=PREFILL_TOKENS):
            batch = _Batch(self, [prompts[i] for i in chosen], sampling, seeds=[own[i] for i in chosen])
            for place, answer in zip(chosen, batch.run(), strict=True):
                answers[place] = answer
        return [answer for answer in answers if answer is not None]

    @torch.inference_mode()
    def score(self, sequences: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Log-probability in nats of every token after the first, float32, for each sequence.

        Raises DataError for a sequence that is empty, holds unknown ids or is longer than the context, UsageError for a model
        that is not causal.
        """
        self._check_causal("score")
        for number, sequence in enumerate(sequences):
            self._check(sequence, f"sequence {number}", answer=0)
        scores: list[np.ndarray] = [np.zeros(0, dtype=np.float32)] * len(sequences)
        for chosen in _batches([len(sequence) for sequence in sequences], rows=PREFILL_TOKENS, tokens=PREFILL_TOKENS):
            found = self._score_batch([sequences[i] for i in chosen])
            for place, logprobs in zip(chosen, found, strict=True):
                scores[place] = logprobs
        return scores

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.head_weight.device

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits in float32 whatever the model computes in: in bf16 the best tokens would often tie."""
        return functional.linear(hidden.float(), self.model.head_weight.float())

    def _score_batch(self, sequences: list[Sequence[int]]) -> list[np.ndarray]:
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        ids = torch.full((len(sequences), int(lengths.max())), self.pad_id)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.as_tensor(sequence)
        columns = torch.arange(ids.shape[1])
        docs = torch.where(columns < lengths[:, None], 0, PADDING).to(self.device)
        ids = ids.to(self.device)
        hidden = self.model(ids, mask=MaskSpec(docs=docs))
        is_scored = docs[:, 1:] != PADDING  # row t predicts t + 1
        found = token_logprobs(hidden[:, :-1][is_scored].float(), self.model.head_weight, targets=ids[:, 1:][is_scored])
        return np.split(found.cpu().numpy(), np.cumsum(lengths.numpy() - 1)[:-1])

    def _check_causal(self, verb: str) -> None:
        if not self.model.config.causal:
            raise UsageError(
                f"this model cannot {verb} text token by token: it looks both ways (causal=False) and was trained to fill gaps "
                "or to classify; want a causal model (llama, qwen3, gpt2 ...) trained with next_token or sft"
            )

    def _check(self, ids: Sequence[int], what: str, *, answer: int) -> None:
        config = self.model.config
        if not len(ids):
            raise DataError(f"{what} is empty; want at least one token")
        if len(ids) + answer > config.max_positions:
            room = f" and max_tokens={answer}" if answer else ""
            raise DataError(f"{what} has {len(ids)} tokens{room}; the model's context is {config.max_positions}; shorten it")
        low, high = min(ids), max(ids)
        if low < 0 or high >= config.vocab_size:
            raise DataError(f"{what} holds id {low if low < 0 else high}; want ids from 0 to {config.vocab_size - 1}")


class _Batch:
    """Requests decoded side by side, from prefill to the last stop."""

    def __init__(self, engine: Engine, prompts: list[Sequence[int]], sampling: Sampling, *, seeds: list[int]) -> None:
        self.engine, self.sampling = engine, sampling
        device = engine.device
        width = max(map(len, prompts))
        self.pads = torch.tensor([width - len(prompt) for prompt in prompts], device=device)  # r
        rows = [[engine.pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        self.ids = torch.tensor(rows, device=device)  # r t: what the next forward pass reads
        draws = [np.random.default_rng(seed).random(sampling.max_tokens) for seed in seeds]
        self.uniforms = torch.from_numpy(np.stack(draws)).to(device)  # r m: float64
        model = engine.model
        columns = width + sampling.max_tokens
        self.cache = KVCache(model.config, len(prompts), columns=columns, dtype=model.compute_dtype, device=device)
        self.settings = Settings.of([sampling] * len(prompts), vocab_size=model.config.vocab_size, device=device)  # r
        self.seen = [frozenset(prompt) for prompt in prompts]
        self.places = np.arange(len(prompts))  # which request each row is
        self.is_living = np.ones(len(prompts), dtype=bool)  # row by row
        self.said: list[list[int]] = [[] for _ in prompts]
        self.logprobs: list[list[float]] = [[] for _ in prompts]
        self.finish: list[Finish] = ["length"] * len(prompts)

    def run(self) -> list[Generated]:
        """Decode until every row has stopped or has said all it may."""
        for step in range(self.sampling.max_tokens):
            self._step(step)
            if not self.is_living.any():
                break
            self._crowd_together()
        return [
            Generated(tuple(ids), tuple(logprobs), finish, _why(finish, ids))
            for ids, logprobs, finish in zip(self.said, self.logprobs, self.finish, strict=True)
        ]

    def _step(self, step: int) -> None:
        logits = self._forward()
        is_finite = torch.isfinite(logits).all(dim=-1)
        ids = choose(self._adjusted(logits.nan_to_num()), self.settings, uniforms=self.uniforms[:, step])
        logprobs = logits.gather(1, ids.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=-1)
        self.ids = ids.unsqueeze(1)
        # One copy to the host per step: whether to go on is decided there.
        self._note(ids.tolist(), logprobs.tolist(), is_finite.tolist())

    def _adjusted(self, logits: Tensor) -> Tensor:
        """With penalties and biases, where any are asked for."""
        for row, place in enumerate(self.places if not self.sampling.is_plain else ()):
            adjust(logits[row], self.sampling, Past(self.seen[place], Counter(self.said[place])))
        return logits

    def _forward(self) -> Tensor:
        """Logits after the newest column; the cache grows by what was read."""
        past, width = self.cache.length, self.ids.shape[1]
        columns = torch.arange(past, past + width, device=self.ids.device)
        positions = columns - self.pads.unsqueeze(1)  # r t
        docs = torch.where(positions < 0, PADDING, 0)
        mask = MaskSpec(docs=docs)
        hidden = self.engine.model(self.ids, mask=mask, positions=positions.clamp(min=0), cache=self.cache)
        return self.engine.logits(hidden[:, -1])  # r v

    def _note(self, ids: list[int], logprobs: list[float], is_finite: list[bool]) -> None:
        for row in np.flatnonzero(self.is_living):
            place = self.places[row]
            if not is_finite[row]:
                self.finish[place], self.is_living[row] = "aborted", False
                continue
            self.said[place].append(ids[row])
            self.logprobs[place].append(logprobs[row])
            if ids[row] in self.engine.stop_ids:
                self.finish[place], self.is_living[row] = "stop", False

    def _crowd_together(self) -> None:
        """Drop finished rows once enough of them ride along."""
        if self.is_living.mean() >= CROWDED:
            return
        rows = torch.from_numpy(np.flatnonzero(self.is_living)).to(self.ids.device)
        self.cache.keep(rows)
        self.ids, self.pads, self.uniforms = self.ids[rows], self.pads[rows], self.uniforms[rows]
        self.settings = Settings(*(column[rows] for column in self.settings))
        self.places, self.is_living = self.places[self.is_living], self.is_living[self.is_living]


def _why(finish: Finish, ids: list[int]) -> str:
    return f"the model's logits are not finite after {len(ids)} tokens" if finish == "aborted" else ""


def _batches(lengths: Sequence[int], *, rows: int, tokens: int) -> Iterator[list[int]]:
    """Places in order of length, cut so that no batch has more rows or, padded to its longest, more tokens."""
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and end - begin < rows and lengths[order[end]] * (end + 1 - begin) <= tokens:
            end += 1
        yield order[begin:end]
        begin = end

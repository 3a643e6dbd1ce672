"""infer/admission: what an engine takes in: requests that its model and its cache can answer to the end.

Refused is refused before anything is computed. Does not queue.
"""

from collections.abc import Sequence

from whorl.core.errors import DataError, UsageError
from whorl.infer.request import Request
from whorl.model.config import ModelConfig

__all__ = ["Admission"]


class Admission:
    """The limits of one engine."""

    def __init__(self, config: ModelConfig, *, cache_tokens: int, spells: bool) -> None:
        """`spells`: the engine knows what its ids spell."""
        self._config = config
        self._cache_tokens = cache_tokens
        self._spells = spells

    def check(self, request: Request, what: str) -> None:
        """Raise DataError for a prompt that is empty, holds unknown ids or leaves too little room, UsageError for a model that
        is not causal and for settings that mean nothing here. `what` names the prompt."""
        sampling, size = request.sampling, self._config.vocab_size
        self.check_causal("write")
        self.check_ids(request.prompt, what, answer=sampling.max_tokens)
        strange = sorted(token for token in sampling.logit_bias if not 0 <= token < size)
        if strange:
            raise UsageError(f"logit_bias names id {strange[0]}; want ids from 0 to {size - 1}")
        foreign = [token for token in sampling.among if not 0 <= token < size]
        if foreign:
            raise UsageError(f"among names id {foreign[0]}; want ids from 0 to {size - 1}")
        if sampling.stop and not self._spells:
            raise UsageError("stop strings: this engine was not told what its ids spell; want Engine(token_bytes=...)")
        if len(request.prompt) + sampling.max_tokens > self._cache_tokens:
            raise DataError(
                f"{what} has {len(request.prompt)} tokens and max_tokens={sampling.max_tokens}; the cache holds "
                f"{self._cache_tokens}; ask for less or give it more (cache_tokens, cache_bytes)"
            )
        if request.scores_from is not None and not 1 <= request.scores_from < len(request.prompt):
            raise UsageError(f"scores_from={request.scores_from}; want a place in the prompt, 1 to {len(request.prompt) - 1}")

    def check_causal(self, verb: str) -> None:
        """Raise UsageError for a model that looks both ways."""
        if not self._config.causal:
            raise UsageError(
                f"this model cannot {verb} text token by token: it looks both ways (causal=False) and was trained to fill gaps "
                "or to classify; want a causal model (llama, qwen3, gpt2 ...) trained with next_token or sft"
            )

    def check_ids(self, ids: Sequence[int], what: str, *, answer: int) -> None:
        """Raise DataError for ids that are none, unknown, or too many with an answer of so many tokens."""
        config = self._config
        if not len(ids):
            raise DataError(f"{what} is empty; want at least one token")
        if len(ids) + answer > config.max_positions:
            room = f" and max_tokens={answer}" if answer else ""
            raise DataError(f"{what} has {len(ids)} tokens{room}; the model's context is {config.max_positions}; shorten it")
        low, high = min(ids), max(ids)
        if low < 0 or high >= config.vocab_size:
            raise DataError(f"{what} holds id {low if low < 0 else high}; want ids from 0 to {config.vocab_size - 1}")

"""infer/draft_model: a smaller model that guesses what a larger one will say: greedily, a token at a time.

It has blocks of its own for keys and values and keeps them in step with each request: what it has read is never read again, and
what it guessed in vain is written over. Requests that have not been guessed for in a while give their blocks to others and are
read anew if their turn comes again. Does not check guesses (infer/engine), decide when to make them (infer/pays), or compare
tokenizers: two models of one size of vocabulary can still mean other texts by their ids, which costs time and no truth.
https://arxiv.org/abs/2211.17192
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from whorl.core.errors import UsageError
from whorl.infer.draft import Drafter
from whorl.infer.forward import Forward
from whorl.infer.pieces import Piece
from whorl.infer.pool import BlockPool
from whorl.infer.store import Store
from whorl.model.packed import pack
from whorl.model.transformer import Transformer

__all__ = ["DraftModel"]

BLOCK_SIZE = 32  # tokens
READ = 2048  # tokens of a request read at once


class DraftModel:
    """A model that guesses for all requests of one engine. `open` is what the engine wants."""

    def __init__(self, model: Transformer, *, vocab_size: int, cache_tokens: int = 16_384) -> None:
        """`vocab_size`: of the model that is guessed for; `cache_tokens`: room for keys and values of all requests together.

        Raises UsageError for another vocabulary or a model that is not causal.
        """
        if model.config.vocab_size != vocab_size:
            raise UsageError(
                f"the draft model has {model.config.vocab_size} ids, the model it drafts for {vocab_size}; "
                "want one of the same tokenizer, or ids would mean other texts"
            )
        if not model.config.causal:
            raise UsageError("the draft model looks both ways (causal=False); want a causal one")
        own = model.twin()
        pack(own, "auto")
        self.pool = BlockPool(-(-cache_tokens // BLOCK_SIZE), BLOCK_SIZE)
        store = Store(
            own.config,
            num_blocks=self.pool.num_blocks,
            block_size=BLOCK_SIZE,
            dtype=own.compute_dtype,
            device=own.embed.weight.device,
        )
        self.max_positions = own.config.max_positions
        self.num_read = 0  # tokens computed since it was built
        self._forward = Forward(own, store)
        self._open: OrderedDict[_Guesses, None] = OrderedDict()  # the latest to guess is last

    def open(self) -> Drafter:
        """For a new request."""
        return _Guesses(self)

    @torch.inference_mode()
    def next_id(self, ids: Sequence[int], start: int, blocks: Sequence[int]) -> int:
        """The likeliest id after these tokens, whose place in their request begins at `start`."""
        logits = self._forward.last_logits(Piece(ids, start, blocks), at_once=READ)
        self.num_read += len(ids)
        # One number to the host: the next pass reads it.
        return int(logits.argmax())

    def room(self, guesses: "_Guesses", num_tokens: int) -> bool:
        """Give a request blocks for so many tokens, from those that guessed longest ago if need be. False: too few."""
        self._open[guesses] = None
        self._open.move_to_end(guesses)
        while len(guesses.blocks) < self.pool.blocks_for(num_tokens):
            block = self.pool.take()
            if block is not None:
                guesses.blocks.append(block)
            elif (oldest := next(iter(self._open))) is not guesses:
                oldest.close()
            else:
                guesses.close()
                return False
        return True

    def forget(self, guesses: "_Guesses") -> None:
        """It is about to give its blocks back."""
        self._open.pop(guesses, None)

    def check(self) -> None:
        """Raise AssertionError unless blocks and requests agree."""
        self.pool.check_holders(guesses.blocks for guesses in self._open)


@dataclass(eq=False)
class _Guesses:
    """What is known of one request."""

    owner: DraftModel
    blocks: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)  # tokens whose keys and values are in blocks; the last may be wrong guesses
    num_sure: int = 0  # of these, tokens that were the request's own when last looked at

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        """Greedy guesses, one pass each; fewer where the context or the room ends."""
        limit = min(limit, self.owner.max_positions - len(tokens) + 1)
        if limit < 1 or not self.owner.room(self, len(tokens) + limit - 1):
            return []
        self._drop_wrong(tokens)
        said: list[int] = []
        fresh = list(tokens[len(self.read) :])
        while len(said) < limit:
            said.append(self.owner.next_id(fresh, len(self.read), self.blocks))
            self.read.extend(fresh)
            fresh = said[-1:]
        return said

    def told(self, num_drafted: int, num_accepted: int) -> None:
        """The request's tokens say it."""

    def close(self) -> None:
        """Give everything back; a later proposal reads the request anew."""
        self.owner.forget(self)
        self.owner.pool.release(self.blocks)
        self.blocks, self.read, self.num_sure = [], [], 0

    def _drop_wrong(self, tokens: Sequence[int]) -> None:
        """Keep what has been read of this request, but never its last token: what follows it is asked."""
        same = self.num_sure
        while same < min(len(self.read), len(tokens) - 1) and self.read[same] == tokens[same]:
            same += 1
        del self.read[same:]
        self.num_sure = same

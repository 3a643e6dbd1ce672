"""infer/branches: the keys and values of answers that begin alike and part: what they share is stored and computed once.

Full blocks are shared by counting their holders. The block that answers were still writing when they parted is copied for all
but one of them, who goes on in it. Does not choose which answers go on (infer/beam).
"""

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.core.errors import DataError, ResourceError
from whorl.infer.forward import Forward
from whorl.infer.pieces import Piece
from whorl.infer.pool import ROOT, BlockPool, block_name

__all__ = ["Branches"]

Answer = tuple[int, ...]  # the tokens said after the prompt
SALT = b"-"  # as requests have it that name no other


class Branches:
    """Answers to one prompt that are being written, all equally long. `close` gives every block back."""

    def __init__(self, forward: Forward, pool: BlockPool, prompt: Sequence[int], *, step_tokens: int) -> None:
        self._forward, self._pool = forward, pool
        self._prompt = list(prompt)
        self._step_tokens = step_tokens  # of the prompt, computed at once
        self._blocks: dict[Answer, list[int]] = {}  # of everything computed so far: the prompt and the answer

    @torch.inference_mode()
    def ahead(self, answers: Sequence[Answer]) -> Float[Tensor, "n v"]:
        """Log-probabilities of what follows each answer. First the empty one, then answers that go on from those before by one.

        Those before that none of them goes on from are given up. Raises DataError for logits that are not finite, ResourceError
        when the pool has no block left; whatever was raised, `close`.
        """
        if not self._blocks:
            assert list(answers) == [()], "a search begins with the empty answer"
            logits = self._read_prompt()
        else:
            self._part(answers)
            start = len(self._prompt) + len(answers[0]) - 1
            pieces = [Piece(answer[-1:], start, self._blocks[answer]) for answer in answers]
            logits = self._forward.step(pieces, only_logits=True).logits(list(range(len(answers))))
        logprobs = logits.log_softmax(dim=-1)
        if not torch.isfinite(
            logprobs
        ).all():  # one look per token; an answer must not end in something that was never compared
            raise DataError(f"beam search: the model's logits are not finite after {len(answers[0])} tokens")
        self._let_prompt_be_found()
        return logprobs

    def close(self) -> None:
        """Give everything back."""
        for blocks in self._blocks.values():
            self._pool.release(blocks)
        self._blocks.clear()

    def _read_prompt(self) -> Float[Tensor, "1 v"]:
        """Compute what is not known of the prompt, its last token in any case."""
        size, blocks, parent = self._pool.block_size, self._blocks.setdefault((), []), ROOT
        for name, tokens in self._names(len(self._prompt) - 1):
            block = self._pool.find(name, parent=parent, tokens=tokens)
            if block is None:
                break
            blocks.append(block)
            parent = name
        first = len(blocks) * size
        while len(blocks) < self._pool.blocks_for(len(self._prompt)):
            blocks.append(self._taken())
        for start in range(first, len(self._prompt), self._step_tokens):
            part = self._prompt[start : start + self._step_tokens]
            passed = self._forward.step([Piece(part, start, blocks)], only_logits=True)
        return passed.logits([len(part) - 1])

    def _let_prompt_be_found(self) -> None:
        """By later requests, once what it led to is known to be sound."""
        parent = ROOT
        for block, (name, tokens) in zip(self._blocks.get((), ()), self._names(len(self._prompt)), strict=False):
            self._pool.name(block, name, parent=parent, tokens=tokens)
            parent = name

    def _names(self, end: int) -> list[tuple[bytes, list[int]]]:
        """Name and tokens of each full block of the prompt up to a place."""
        size, found, parent = self._pool.block_size, [], ROOT
        for start in range(0, end // size * size, size):
            tokens = self._prompt[start : start + size]
            parent = block_name(parent, tokens, salt=SALT)
            found.append((parent, tokens))
        return found

    def _part(self, answers: Sequence[Answer]) -> None:
        """Give each answer blocks with everything before its last token in them, and room for that."""
        heirs = Counter(answer[:-1] for answer in answers)
        for given_up in set(self._blocks) - set(heirs):
            self._pool.release(self._blocks.pop(given_up))
        computed = len(self._prompt) + len(answers[0]) - 1
        for answer in answers:
            parent = answer[:-1]
            heirs[parent] -= 1
            if heirs[parent]:
                self._copy(parent, answer, computed)
            else:
                self._blocks[answer] = self._blocks.pop(parent)
            if len(self._blocks[answer]) * self._pool.block_size == computed:
                self._blocks[answer].append(self._taken())

    def _copy(self, parent: Answer, answer: Answer, computed: int) -> None:
        """Share the full blocks, copy the one that is being written."""
        num_full = computed // self._pool.block_size
        old, new = self._blocks[parent], self._blocks.setdefault(answer, [])
        self._pool.share(old[:num_full])
        new.extend(old[:num_full])
        if len(old) > num_full:
            new.append(self._taken())
            self._forward.store.copy(old[num_full], to=new[num_full])

    def _taken(self) -> int:
        block = self._pool.take()
        if block is None:
            raise ResourceError(
                f"beam search: all {self._pool.num_blocks} blocks of {self._pool.block_size} tokens are held; "
                "want fewer beams, fewer requests beside it, or more cache_tokens"
            )
        return block

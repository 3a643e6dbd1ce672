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
from whorl.infer.pool import SALT, BlockPool

__all__ = ["Branches"]

Answer = tuple[int, ...]  # the tokens said after the prompt


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
            return self._read_prompt()
        self._part(answers)
        start = len(self._prompt) + len(answers[0]) - 1
        pieces = [Piece(answer[-1:], start, self._blocks[answer]) for answer in answers]
        logits = self._forward.step(pieces, only_logits=True).logits(list(range(len(answers))))
        return _sound(logits, num_said=len(answers[0]))

    def close(self) -> None:
        """Give everything back."""
        for blocks in self._blocks.values():
            self._pool.release(blocks)
        self._blocks.clear()

    def _read_prompt(self) -> Float[Tensor, "1 v"]:
        """Compute what is not known of the prompt, its last token in any case; later requests find it if what it leads to is
        sound."""
        prompt = self._prompt
        blocks, names = self._pool.hold_known(prompt, end=len(prompt) - 1, salt=SALT)
        self._blocks[()] = blocks
        start = len(blocks) * self._pool.block_size
        while len(blocks) < self._pool.blocks_for(len(prompt)):
            blocks.append(self._taken())
        logits = self._forward.last_logits(Piece(prompt[start:], start, blocks), at_once=self._step_tokens)
        logprobs = _sound(logits, num_said=0)
        self._pool.name_full(prompt, blocks, names=names, end=len(prompt), salt=SALT)
        return logprobs

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


def _sound(logits: Float[Tensor, "n v"], *, num_said: int) -> Float[Tensor, "n v"]:
    """Log-probabilities. Raises DataError for some that are not finite."""
    logprobs = logits.log_softmax(dim=-1)
    # One look per token: an answer must not end in something that was never compared.
    if not torch.isfinite(logprobs).all():
        raise DataError(f"beam search: the model's logits are not finite after {num_said} tokens")
    return logprobs

"""infer/pool: who owns which block of keys and values, and which finished blocks can be read again by another request.

A block is room for `block_size` tokens in every layer. A full block may be named by a hash chained over all tokens before it,
so that a request with the same beginning finds it; the tokens are compared on a hit, so a collision costs time and never truth.
Blocks nobody holds stay named, least recently released first to be taken. Does not hold keys or values, and knows no device.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["ROOT", "SALT", "BlockPool", "Known", "block_name"]

ROOT = b""  # the name of nothing: what the first block of a request follows
SALT = b"-"  # of requests that name no other; no salt is empty


def block_name(parent: bytes, tokens: Sequence[int], *, salt: bytes) -> bytes:
    """16 bytes that stand for these tokens after everything the parent stands for. Other salts never meet."""
    digest = hashlib.blake2b(parent or salt, digest_size=16)
    digest.update(b",".join(b"%d" % token for token in tokens))
    return digest.digest()


class Known(NamedTuple):
    """Full blocks with the first tokens of somebody, held for them."""

    blocks: list[int]
    names: list[bytes]


class _Link(NamedTuple):
    """A full block of a chain."""

    name: bytes
    parent: bytes
    tokens: Sequence[int]


@dataclass
class _Block:
    holders: int = 0
    name: bytes = b""  # empty: not to be found
    parent: bytes = b""
    tokens: tuple[int, ...] = ()


@dataclass
class BlockPool:
    """A fixed number of blocks. Every block is held by someone, idle but named, or free: `check` proves it."""

    num_blocks: int
    block_size: int  # tokens
    _blocks: list[_Block] = field(init=False, repr=False)
    _free: list[int] = field(init=False, repr=False)
    _idle: OrderedDict[int, None] = field(default_factory=OrderedDict, init=False, repr=False)  # oldest release first
    _named: dict[bytes, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        assert self.num_blocks >= 1, f"num_blocks={self.num_blocks}, want at least 1"
        assert self.block_size >= 1, f"block_size={self.block_size}, want at least 1"
        self._blocks = [_Block() for _ in range(self.num_blocks)]
        self._free = list(reversed(range(self.num_blocks)))

    @property
    def num_available(self) -> int:
        """Blocks that can be taken now: free ones, and idle ones whose content would be lost."""
        return len(self._free) + len(self._idle)

    @property
    def num_held(self) -> int:
        """Blocks that some request holds."""
        return self.num_blocks - self.num_available

    @property
    def num_named(self) -> int:
        """Blocks that can be found by their content."""
        return len(self._named)

    def blocks_for(self, num_tokens: int) -> int:
        """How many blocks hold so many tokens."""
        return -(-num_tokens // self.block_size)

    def take(self) -> int | None:
        """A block for one holder, without a name; None when every block is held."""
        if self._free:
            number = self._free.pop()
        elif self._idle:
            number, _ = self._idle.popitem(last=False)
            self._forget_name(number)
        else:
            return None
        self._blocks[number].holders = 1
        return number

    def find(self, name: bytes, *, parent: bytes, tokens: Sequence[int]) -> int | None:
        """The block of that name, held once more by the caller, or None. The tokens are compared, not trusted."""
        number = self._named.get(name)
        if number is None:
            return None
        block = self._blocks[number]
        if block.parent != parent or block.tokens != tuple(tokens):
            return None
        if not block.holders:
            del self._idle[number]
        block.holders += 1
        return number

    def hold_known(self, tokens: Sequence[int], *, end: int, salt: bytes) -> Known:
        """The blocks known to hold what stands before `end`, from the first one to the last that is found."""
        known = Known([], [])
        for name, parent, own in self._chain(tokens, (), end=end, salt=salt):
            block = self.find(name, parent=parent, tokens=own)
            if block is None:
                break
            known.blocks.append(block)
            known.names.append(name)
        return known

    def name_full(self, tokens: Sequence[int], blocks: Sequence[int], *, names: list[bytes], end: int, salt: bytes) -> None:
        """Let the full blocks of what stands before `end` be found. `names`, of the first of them, grows to those of all."""
        for name, parent, own in self._chain(tokens, names, end=end, salt=salt):
            self.name(blocks[len(names)], name, parent=parent, tokens=own)
            names.append(name)

    def share(self, numbers: Iterable[int]) -> None:
        """Hold blocks that somebody holds once more."""
        for number in numbers:
            assert self._blocks[number].holders, f"block {number} is shared by nobody who holds it"
            self._blocks[number].holders += 1

    def name(self, number: int, name: bytes, *, parent: bytes, tokens: Sequence[int]) -> None:
        """Let a full block be found. The first block of a name keeps it; a second one stays nameless."""
        block = self._blocks[number]
        assert block.holders, f"block {number} is named by nobody who holds it"
        assert len(tokens) == self.block_size, f"block {number} has {len(tokens)} tokens, want {self.block_size}"
        if name in self._named or block.name:
            return
        block.name, block.parent, block.tokens = name, parent, tuple(tokens)
        self._named[name] = number

    def release(self, numbers: Iterable[int]) -> None:
        """Hold these blocks once less. Named ones stay findable until they are taken; the last of a chain goes first."""
        for number in reversed(list(numbers)):
            block = self._blocks[number]
            assert block.holders > 0, f"block {number} is released more often than held"
            block.holders -= 1
            if block.holders:
                continue
            if block.name:
                self._idle[number] = None
            else:
                self._free.append(number)

    def forget(self) -> None:
        """Take every name away: what blocks hold was computed by weights that are gone."""
        for number in list(self._named.values()):
            self._forget_name(number)
        self._free.extend(self._idle)
        self._idle.clear()

    def check(self) -> None:
        """Raise AssertionError unless every block is in exactly one place. Cost: one look at each block."""
        free, idle = set(self._free), set(self._idle)
        held = {number for number, block in enumerate(self._blocks) if block.holders}
        assert len(free) == len(self._free), "a block is free twice"
        assert len(free | idle | held) == len(free) + len(idle) + len(held), "a block is in two places"
        assert len(free) + len(idle) + len(held) == self.num_blocks, "a block is nowhere"
        named = {number for number, block in enumerate(self._blocks) if block.name}
        assert named == set(self._named.values()), "names and blocks disagree"
        assert not named & free, "a free block has a name"
        assert idle <= named, "an idle block has no name"

    def check_holders(self, blocks: Iterable[Iterable[int]]) -> None:
        """Raise AssertionError unless these are all the blocks that are held, besides what `check` proves."""
        self.check()
        held = {block for own in blocks for block in own}
        assert len(held) == self.num_held, f"{self.num_held} blocks are held, requests know of {len(held)}"

    def _chain(self, tokens: Sequence[int], names: Sequence[bytes], *, end: int, salt: bytes) -> Iterator[_Link]:
        """Full blocks of the tokens before `end`, after those that have these names."""
        size, parent = self.block_size, names[-1] if names else ROOT
        for start in range(len(names) * size, end // size * size, size):
            own = tokens[start : start + size]
            name = block_name(parent, own, salt=salt)
            yield _Link(name, parent, own)
            parent = name

    def _forget_name(self, number: int) -> None:
        block = self._blocks[number]
        del self._named[block.name]
        block.name, block.parent, block.tokens = b"", b"", ()

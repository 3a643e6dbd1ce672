"""tasks/parts: which part of the data an operand belongs to, for ever: the same on every machine, whatever the seed.

A skill is applied to operands (a word's letters, a pair of numbers). The part is a hash of the operand alone, not of the
skill or the seed: an operand that some training dialogue shows, in any skill, is in no exam.
"""

import xxhash

from whorl.core.config import Part

__all__ = ["EXAM_SHARE", "HELD_OUT_SHARE", "part_of"]

HELD_OUT_SHARE = 0.06  # of operands, watched while training
EXAM_SHARE = 0.06  # of operands; 4,950 pairs of numbers leave about 300 for an exam


def part_of(operand: str) -> Part:
    """The part of an operand."""
    place = xxhash.xxh3_64_intdigest(operand.encode()) / 2**64
    if place < EXAM_SHARE:
        return "exam"
    return "held_out" if place < EXAM_SHARE + HELD_OUT_SHARE else "train"

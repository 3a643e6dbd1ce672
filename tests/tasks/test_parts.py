from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.config import PARTS
from whorl.tasks.parts import EXAM_SHARE, HELD_OUT_SHARE, part_of


def test_the_part_of_an_operand_never_moves():
    # Recorded: a change would put operands that old models were trained on into new exams.
    recorded = {"letters:act": "train", "letters:aab": "exam", "letters:cou": "held_out", "sum:1+1": "exam"}
    assert {operand: part_of(operand) for operand in recorded} == recorded


def test_shares_of_many_operands_are_as_stated():
    parts = [part_of(f"operand {number}") for number in range(20_000)]
    # three standard deviations of a share of 0.06 over 20,000 draws are 0.005
    assert abs(parts.count("exam") / len(parts) - EXAM_SHARE) < 0.005
    assert abs(parts.count("held_out") / len(parts) - HELD_OUT_SHARE) < 0.005


@settings(max_examples=50)
@given(st.text())
def test_every_operand_has_a_part(operand):
    assert part_of(operand) in PARTS

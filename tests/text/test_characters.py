import pytest

from whorl.text.characters import (
    APOSTROPHE,
    BULLET_BIT,
    CLASS_MASK,
    FORMAT,
    IDEOGRAPH,
    LETTER,
    MARK,
    NEWLINE,
    NUMBER,
    OTHER,
    SPACE,
    character_tables,
)


@pytest.mark.parametrize(
    ("character", "kind"),
    [
        ("a", LETTER), ("\u00df", LETTER), ("7", NUMBER), ("_", NUMBER), ("\u0664", NUMBER), ("\u0301", MARK),
        ("\u200d", FORMAT), ("\t", SPACE),
        ("\u4e2d", IDEOGRAPH), ("\u3042", IDEOGRAPH), ("\u30a2", LETTER),
        ("\U00020000", IDEOGRAPH), ("'", APOSTROPHE), ("\u2019", APOSTROPHE),
        ("\n", NEWLINE), ("\u2028", NEWLINE), (" ", SPACE), ("\u00a0", SPACE), (",", OTHER),
        ("\U0001f600", OTHER), ("\x00", OTHER), ("\U000e0100", MARK), ("\U0010fffd", OTHER),
    ],
)  # fmt: skip
def test_character_has_its_class(character, kind):
    assert character_tables().classes[ord(character)] & CLASS_MASK == kind


def test_bullets_are_marked_beside_their_class():
    classes = character_tables().classes
    assert all(classes[ord(c)] & BULLET_BIT for c in "-*\u2022")
    assert not classes[ord("a")] & BULLET_BIT


def test_newline_characters_are_the_ones_splitlines_splits_at():
    classes = character_tables().classes
    for point in range(0x3000):
        is_split = len(f"a{chr(point)}b".splitlines()) == 2
        assert (classes[point] & CLASS_MASK == NEWLINE) == is_split


def test_lower_case_is_one_character_or_unchanged():
    lower = character_tables().lower
    assert lower[ord("A")] == ord("a")
    assert lower[ord("\u03a3")] == ord("\u03c3")
    assert lower[0x130] == 0x130  # its lower case is two characters
    assert lower[ord("\u2019")] == ord("'")

import pytest

LINES = [f"The keeper of light number {i} walked on with a lamp for a while." for i in range(6)]
PROSE = "\n".join(LINES)


@pytest.fixture
def reason(verdict_on):
    return lambda text, **options: verdict_on({"use": "fineweb_quality", **options}, [text]).reason[0].as_py()


def test_lines_of_prose_are_kept(reason):
    assert reason(PROSE) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n ", "no_lines"),
        (PROSE.replace(".", ""), "few_terminal_lines"),
        (PROSE + "\nHome." * 13, "short_lines"),
        (f"{PROSE}\n{LINES[0]}", "duplicate_lines"),
        ("\n".join(f"{word}longwordthatfillsalineofthispage." for word in "abcdefgh"), "many_line_breaks"),
    ],
)
def test_a_page_of_lists_is_dropped_for_what_its_lines_are_like(reason, text, why):
    assert reason(text) == why


def test_what_a_short_line_is_can_be_said(reason):
    assert reason(PROSE, short_line_chars=200) == "short_lines"


def test_punctuation_counts_as_words_unless_told_otherwise(reason):
    text = "\n".join(f"{i}, a, b; c: d! e?" for i in range(4))  # 3 breaks; 48 tokens, 24 of them words
    assert reason(text, max_short_lines=1, max_line_breaks=0.1) is None
    assert reason(text, max_short_lines=1, max_line_breaks=0.1, count_punctuation=False) == "many_line_breaks"

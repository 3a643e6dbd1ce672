import pytest

from whorl.corpus.filters import Filter

PROSE = "The keeper of the light walked a long way with a lamp. Nobody saw him come back that night, or the next one either."


@pytest.fixture
def reason(verdict_on):
    return lambda text, **options: verdict_on({"use": "gopher_repetition", **options}, [text]).reason[0].as_py()


def test_prose_is_kept(reason):
    assert reason(PROSE) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("One two three.\n\nOne two three.\n\n" + PROSE, "duplicate_paragraphs"),
        (f"{PROSE}\nbuy\nbuy\nbuy\nbuy", "duplicate_lines"),
        (f"{PROSE}\n{PROSE}\nan end of it\nand one more of those", "duplicate_line_chars"),
        (PROSE + " go home" * 9, "top_2gram_chars"),
        (" ".join([PROSE, "one after the other they all fell down into it", PROSE]), "duplicate_5gram_chars"),
    ],
)
def test_a_page_that_repeats_itself_is_dropped_for_the_first_thing_it_repeats(reason, text, why):
    assert reason(text) == why


def test_thresholds_are_allowed_shares(verdict_on):
    text = "buy\nbuy\nnow\nhere"  # one line of four was there before
    assert verdict_on({"use": "gopher_repetition", "max_duplicate_lines": 0.25}, [text]).reason[0].as_py() != "duplicate_lines"
    found = verdict_on({"use": "gopher_repetition", "max_duplicate_lines": 0.24}, [text])
    assert (found.reason[0].as_py(), found.detail[0].as_py()) == ("duplicate_lines", "0.25, want at most 0.24")


def test_there_is_one_threshold_per_length():
    with pytest.raises(ValueError, match="want 3 thresholds, for n-grams of 2 to 4 words, got 2"):
        Filter.model_validate({"use": "gopher_repetition", "max_top_ngram_chars": [0.2, 0.1]})

import pytest

from whorl.corpus.filters import Filter

PROSE = "The keeper of the light had to walk a long way with a lamp and that was hard. " * 5


@pytest.fixture
def judged(verdict_on):
    def reason_and_detail(text, **options):
        found = verdict_on({"use": "gopher_quality", **options}, [text])
        return found.reason[0].as_py() or "", found.detail[0].as_py() or ""

    return reason_and_detail


def test_prose_is_kept_with_the_thresholds_of_the_paper(judged):
    assert judged(PROSE) == ("", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The end of it.", "too_few_words"),
        ("the of " + "a b c d " * 40, "short_words"),
        ("the of " + "incomprehensibilities " * 60, "long_words"),
        (PROSE + "# " * 40, "many_hashes"),
        (PROSE + "lamp... " * 40, "many_ellipses"),
        ("\n".join(["- the keeper of the light walked on"] * 12), "bullet_lines"),
        ("\n".join(["the keeper of the light walked on and then...", *["he walked with a lamp and that was it"] * 3] * 3), ""),
        (
            "\n".join(["the keeper of the light walked on and then...", "he walked with a lamp and that was it"] * 6),
            "ellipsis_lines",
        ),
        ("the of keeper " * 20 + "1234 " * 20, "few_alphabetic_words"),
        ("keeper light walked lamp " * 20, "few_stop_words"),
    ],
)
def test_text_unlike_prose_is_dropped_for_its_first_fault(judged, text, reason):
    assert judged(text)[0] == reason


def test_bounds_are_inclusive(judged):
    text = "the of " + "abc " * 48
    assert judged(text, min_words=50, min_mean_word_chars=0)[0] == ""
    assert judged(text, min_words=51, min_mean_word_chars=0) == ("too_few_words", "50, want at least 51")


def test_too_many_words_is_a_reason(judged):
    assert judged(PROSE, max_words=60) == ("too_many_words", "90, want at most 60")


def test_punctuation_dilutes_alphabetic_words_unless_told_otherwise(judged):
    text = "the keeper, of: light; had! to? walk- a/ long= way+ with~ lamp. " * 6  # as much punctuation as words
    assert judged(text)[0] == "few_alphabetic_words"
    assert judged(text, count_punctuation=False)[0] == ""


def test_own_stop_words_serve_another_language(judged):
    text = "der Leuchtturm und die lange Nacht " * 10
    assert judged(text)[0] == "few_stop_words"
    assert judged(text, stop_words=("der", "und", "die"))[0] == ""


def test_thresholds_that_cannot_be_met_are_refused():
    with pytest.raises(ValueError, match="cannot be met"):
        Filter.model_validate({"use": "gopher_quality", "min_stop_words": 3, "stop_words": ["the"]})
    with pytest.raises(ValueError, match="min_words <= max_words"):
        Filter.model_validate({"use": "gopher_quality", "min_words": 5, "max_words": 4})

import pytest

from whorl.corpus.filters import Filter

ENGLISH = "All human beings are born free and equal in dignity and rights."
FRENCH = "Tous les \u00eatres humains naissent libres et \u00e9gaux en dignit\u00e9 et en droits."
MIXED = "\n".join([ENGLISH, FRENCH] * 3 + [ENGLISH])


def test_by_default_any_language_is_kept_that_is_clear(verdict_on):
    found = verdict_on({"use": "language"}, [ENGLISH, FRENCH, "", "Artikel 2", MIXED])
    assert found.is_kept.tolist() == [True, True, False, False, False]
    assert set(found.reason.to_pylist()) == {None, "unsure_language"}
    assert found.detail[2].as_py() == "0, want at least 0.65"


def test_a_text_in_another_language_is_dropped_and_the_language_named(verdict_on):
    found = verdict_on({"use": "language", "allowed": ["en"]}, [ENGLISH, FRENCH, ""])
    assert found.reason.to_pylist() == [None, "other_language", "other_language"]
    assert found.detail.to_pylist() == [None, "fr, want one of en", "und, want one of en"]


def test_what_is_detected_decides_and_not_what_is_claimed(verdict_on):
    found = verdict_on({"use": "language", "allowed": ["fr"]}, [ENGLISH, FRENCH], language=["fr", "en"])
    assert found.is_kept.tolist() == [False, True]


def test_a_lower_confidence_lets_mixed_texts_pass(verdict_on):
    assert verdict_on({"use": "language", "min_confidence": 0.4, "allowed": ["en"]}, [MIXED]).is_kept.tolist() == [True]


def test_older_codes_mean_what_they_mean():
    assert Filter.model_validate({"use": "language", "allowed": ["iw", "NB", "und"]}).allowed == ("he", "no", "und")


@pytest.mark.parametrize("code", ["zh-Hant", "english", "xx", "qqq"])
def test_what_is_not_a_code_is_refused(code):
    with pytest.raises(ValueError, match="want codes like 'en'"):
        Filter.model_validate({"use": "language", "allowed": [code]})

import pyarrow as pa
import pytest

from whorl.corpus.filters import Filter
from whorl.text.batch import TextBatch


def judged(texts, **options):
    verdict = Filter.model_validate({"use": "length", **options}).judge(TextBatch(pa.array(texts)))
    return ["" if code == 0 else verdict.reason(row) for row, code in enumerate(verdict.codes)]


def test_both_bounds_are_allowed_lengths_in_characters():
    texts = ["ab", "abc", "\u00e9\u00e9\u00e9\u00e9\u00e9", "abcdef"]
    assert judged(texts, min_chars=3, max_chars=5) == ["too_short", "", "", "too_long"]


def test_default_drops_only_empty_texts():
    assert judged(["", "x"]) == ["too_short", ""]


def test_crossed_bounds_are_refused():
    with pytest.raises(ValueError, match="max_chars=3 is below min_chars=5"):
        Filter.model_validate({"use": "length", "min_chars": 5, "max_chars": 3})

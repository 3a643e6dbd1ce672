import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.edits import Edit


def edited(text):
    result = Edit.model_validate({"use": "unicode"}).apply(pa.array([text], pa.large_string()))
    return result.texts[0].as_py(), int(result.num_spans[0])


@pytest.mark.parametrize(
    ("before", "after", "spans"),
    [
        ("plain text\n\n    indented\ttab", "plain text\n\n    indented\ttab", 0),
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g", "a\nb\nc\nd\ne\nf\ng", 6),
        ("nul\x00 bell\x07\x08 del\x7f", "nul bell del", 3),
        ("\ufeffmark", "mark", 1),
        ("no\u00a0break\u3000wide", "no break wide", 2),
        ("cafe\u0301", "caf\u00e9", 1),
        ("trailing  \nblanks\t\n", "trailing\nblanks", 3),
        ("a\n\n\n\n\n\nb", "a\n\n\nb", 1),
        ("\n\n  first line keeps its indent", "  first line keeps its indent", 1),
        ("zero\u200dwidth joiner stays", "zero\u200dwidth joiner stays", 0),
        ("\x00\n \t", "", 3),
        ("", "", 0),
    ],
)
def test_text_is_cleaned_and_changes_are_counted(before, after, spans):
    assert edited(before) == (after, spans)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_result_is_nfc_without_controls_or_outer_newlines(text):
    result, _ = edited(text)
    assert unicodedata.is_normalized("NFC", result)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in result)
    assert not result.startswith("\n")
    assert not result.endswith((" ", "\t", "\n"))

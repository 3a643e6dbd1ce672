import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.batch import TextBatch
from whorl.text.reference_lines import reference_lines

TEXTS = st.lists(st.text(st.sampled_from("a .!-*\n\r\u2028\u2026"), max_size=30), min_size=1, max_size=4)


def statistics(texts):
    return TextBatch(pa.array(texts, pa.large_string())).statistics


def test_lines_of_a_page_counted_by_hand():
    found = statistics(["# Title\n\n- first item\n* second...\r\nThe end\u2026", "One.\n"])
    assert found["num_lines"].tolist() == [5, 1]
    assert found["num_line_breaks"].tolist() == [4, 1]
    assert found["num_bullet_lines"].tolist() == [2, 0]
    assert found["num_ellipsis_lines"].tolist() == [2, 0]
    assert found["num_terminal_lines"].tolist() == [1, 1]
    assert found["num_line_chars"].tolist() == [7 + 12 + 11 + 8, 4]


@settings(deadline=None)
@given(texts=TEXTS)
def test_lines_and_breaks_are_those_of_the_language(texts):
    found = statistics(texts)
    assert found["num_lines"].tolist() == [len(text.splitlines()) for text in texts]
    assert found["num_line_chars"].tolist() == [sum(line.chars for line in reference_lines(text)) for text in texts]


def test_an_unknown_name_is_a_key_error_and_all_names_are_listed():
    found = statistics(["one two"])
    with pytest.raises(KeyError, match="num_nothing"):
        found["num_nothing"]
    assert len(found) == len(list(found)) == len(set(found))
    assert {name: int(column[0]) for name, column in found.items()}["num_words"] == 2

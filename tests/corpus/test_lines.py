import io

from hypothesis import given
from hypothesis import strategies as st

from whorl.corpus.lines import bounded_lines


@given(lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=8), most=st.integers(1, 40))
def test_lines_are_those_of_the_file_and_long_ones_only_measured(lines, most):
    data = b"\n".join(lines)
    expected = io.BytesIO(data).readlines()
    found = list(bounded_lines(io.BytesIO(data), most))
    assert [line.number for line in found] == list(range(1, len(expected) + 1))
    assert [line.num_bytes for line in found] == [len(line) for line in expected]
    assert [line.data for line in found] == [line if len(line) <= most else b"" for line in expected]


def test_a_line_far_longer_than_the_limit_ends_where_it_ends():
    found = list(bounded_lines(io.BytesIO(b"x" * 3_000_000 + b"\nnext"), 10))
    assert [(line.num_bytes, line.data) for line in found] == [(3_000_001, b""), (4, b"next")]

import numpy as np
import pyarrow as pa
import pytest

from whorl.core.errors import ConfigError
from whorl.core.records import DOCUMENTS
from whorl.core.shards import write_table
from whorl.corpus.keep import Keep, ranks


@pytest.fixture
def dated(tmp_path):
    """A file of documents with some dates."""

    def write(dates, added):
        columns = {name: ["x"] * len(dates) for name in DOCUMENTS.names} | {"date": dates, "added": added}
        write_table(pa.table(columns, schema=DOCUMENTS), tmp_path / "documents.parquet")
        return tmp_path / "documents.parquet"

    return write


def figures(**columns):
    return pa.table({"num_bytes": pa.array([3, 1, 2]), **columns})


def test_the_longest_ranks_by_bytes(tmp_path):
    assert ranks(Keep("longest"), figures(), tmp_path).tolist() == [3, 1, 2]
    assert ranks(Keep("none"), figures(), tmp_path).tolist() == [3, 1, 2]


def test_newer_dates_rank_higher_however_precise_and_what_is_no_date_is_oldest(dated):
    dates = [
        "2024",
        "2024-02",
        "2024-02-29",
        "2024-02-29T10:00:00Z",
        "2024-02-29 10:00:01+02:00",
        "29 Feb 2025",
        "2024-2-1",
        None,
    ]
    found = ranks(Keep("newest"), figures(), dated(dates, [None] * 8))
    assert found.tolist() == [*sorted(found.tolist()[:5]), 0, 0, 0]
    assert len(set(found.tolist())) == 6


def test_a_time_is_read_without_its_offset_and_fraction(dated):
    dates = ["2024-02-29T10:05+02:00", "2024-02-29T10:05:00.25Z", "2024-02-29 10:05:00-0800"]
    assert ranks(Keep("newest"), figures(), dated(dates, [None] * 3)).tolist() == [20240229100500] * 3


def test_the_day_it_was_added_counts_where_the_text_has_no_date(dated):
    found = ranks(Keep("newest"), figures(), dated(["2020-01-01", None, "soon"], ["2025-01-01", "2021-01-01", None]))
    assert found.tolist() == [20200101000000, 20210101000000, 0]


def test_the_best_ranks_by_any_figure_either_way(tmp_path):
    measured = figures(score=pa.array([0.5, None, 2.0]))
    assert ranks(Keep("best", "score"), measured, tmp_path).tolist() == [0.5, -np.inf, 2.0]
    assert ranks(Keep("best", "-score"), measured, tmp_path).tolist() == [-0.5, -np.inf, -2.0]


def test_a_figure_that_was_not_measured_is_an_error_that_lists_those_that_were(tmp_path):
    with pytest.raises(ConfigError, match="no figure 'scor' was measured; known: num_bytes, score"):
        ranks(Keep("best", "scor"), figures(score=pa.array([1, 2, 3]), word=pa.array(["a", "b", "c"])), tmp_path)

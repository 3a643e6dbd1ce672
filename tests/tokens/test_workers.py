import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.tokens.workers import ahead


@given(first=st.integers(0, 20), length=st.integers(-2, 20), workers=st.integers(1, 8))
def test_any_number_of_workers_gives_the_plain_stream(first, length, workers):
    stop = first + length
    assert list(ahead(lambda step: step * step, first, stop, workers=workers)) == [n * n for n in range(first, stop)]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_step_is_asked_for_once_and_no_more_than_workers_ahead(workers):
    asked = []
    for step in ahead(lambda step: asked.append(step) or step, 0, 10, workers=workers):
        assert len(asked) <= step + 1 + workers
    assert sorted(asked) == list(range(10))


def test_batches_come_in_order_though_later_ones_are_made_sooner():
    def slow_at_first(step):
        time.sleep(0.05 if step == 0 else 0)
        return step

    assert list(ahead(slow_at_first, 0, 5, workers=4)) == [0, 1, 2, 3, 4]


def test_several_are_made_at_the_same_time():
    both = threading.Barrier(2, timeout=10)

    def meets_its_neighbour(step):
        both.wait()
        return step

    assert list(ahead(meets_its_neighbour, 0, 2, workers=2)) == [0, 1]


def test_an_error_comes_where_its_batch_is_due():
    def broken(step):
        if step == 2:
            raise DataError("no batch 2")
        return step

    stream = ahead(broken, 0, 5, workers=3)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(DataError, match="no batch 2"):
        next(stream)

import os
from collections.abc import Callable
from typing import Any

import pytest
from toy_tasks import dies, double, fails_at_three, process_number, refuses

from whorl.core.errors import ConfigError, DataError, ResourceError
from whorl.core.pool import InlinePool, Pool, ProcessPool, _Call, give_back_memory, local_pool


@pytest.fixture(params=["inline", "processes"])
def pool(request: pytest.FixtureRequest) -> Pool:
    return InlinePool() if request.param == "inline" else ProcessPool(2)


def test_results_come_in_the_order_of_the_tasks(pool: Pool) -> None:
    assert list(pool.map(double, [3, 1, 2])) == [6, 2, 4]


def test_a_failed_task_names_itself(pool: Pool) -> None:
    with pytest.raises(DataError, match=r"^fails_at_three failed on 3: ValueError: three is too many$"):
        list(pool.map(fails_at_three, [1, 2, 3]))


def test_an_error_that_says_all_it_should_passes_as_it_is(pool: Pool) -> None:
    with pytest.raises(ConfigError, match=r"^not like this$"):
        list(pool.map(refuses, [1]))


def test_no_tasks_is_no_work(pool: Pool) -> None:
    assert list(pool.map(double, [])) == []


def test_processes_are_other_processes() -> None:
    assert os.getpid() not in set(ProcessPool(2).map(process_number, [1, 2]))
    assert set(InlinePool().map(process_number, [1])) == {os.getpid()}


def test_memory_that_a_long_task_needed_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr("whorl.core.pool.give_back_memory", lambda: given.append(1))
    monkeypatch.setattr("whorl.core.pool._LONG_S", -1.0)
    assert list(InlinePool().map(double, [1, 2])) == [2, 4]
    assert len(given) == 2
    give_back_memory()


def test_workers_stay_for_the_next_map() -> None:
    pool = ProcessPool(1)
    assert set(pool.map(process_number, [1])) == set(pool.map(process_number, [1, 2]))


def test_a_pool_works_again_after_a_worker_died() -> None:
    pool = ProcessPool(1)
    with pytest.raises(ResourceError):
        list(pool.map(dies, [1]))
    assert list(pool.map(double, [4])) == [8]


def test_a_worker_that_died_is_told_as_such() -> None:
    with pytest.raises(ResourceError, match=r"^a worker process died while mapping dies over 1 shards .* fewer workers"):
        list(ProcessPool(2).map(dies, [1]))


@pytest.mark.parametrize("function", [double, fails_at_three])
def test_what_travels_to_a_worker_does_what_the_reference_does(function: Callable[[int], Any]) -> None:
    assert _Call(function)(2) == next(InlinePool().map(function, [2]))


def test_the_number_of_workers_chooses_the_pool() -> None:
    assert local_pool(1) == InlinePool()
    assert local_pool(3) == ProcessPool(3)
    assert local_pool(0).workers == (os.cpu_count() or 1)

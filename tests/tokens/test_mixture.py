from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import ConfigError, UsageError
from whorl.core.seed import Seed
from whorl.tokens.batch import joined_batches
from whorl.tokens.loader import Share
from whorl.tokens.mixture import Mixture, Source
from whorl.tokens.sequences import Sequences


def numbered(lengths, first=0):
    """Sequences whose every token is a different number from `first` on."""
    lengths = np.array(lengths, dtype=np.int64)
    names = pa.array([f"doc-{n}" for n in range(len(lengths))], pa.large_string())
    flat = np.arange(first, first + lengths.sum()).astype(np.uint32)
    return Sequences(flat, np.cumsum(lengths) - lengths, lengths, names=names, flat_weights=np.empty(0, np.float32))


def two(weights=(3.0, 1.0), **limits):
    """Sixty documents that leave much padding, and twenty that leave little; 1,000,000 tells their tokens apart."""
    loose = Source("loose", numbered([6] * 60), weights[0])
    tight = Source("tight", numbered([10] * 20, first=1_000_000), weights[1], **limits)
    return [loose, tight]


def fields(batch):
    arrays = (batch.ids, batch.targets, batch.weights, batch.docs, batch.positions)
    return [array.tolist() for array in arrays], batch.doc_ids


lengths = st.lists(st.integers(1, 30), min_size=1, max_size=8)


@settings(max_examples=20)
@given(
    sources=st.lists(lengths, min_size=1, max_size=3),
    seed=st.integers(0, 99),
    steps=st.lists(st.integers(0, 10**7), min_size=1, max_size=3),
)
def test_any_step_is_a_pure_function_and_the_ranks_share_it(sources, seed, steps):
    def opened():
        return Mixture(
            [Source(f"s{n}", numbered(each), n + 1) for n, each in enumerate(sources)], rows=3, width=8, seed=Seed(seed)
        )

    first, second = opened(), opened()
    for step in steps:
        whole = fields(first.batch(step))
        assert fields(second.batch(step)) == whole
        for ranks in (2, 3):
            shares = [second.batch(step, Share(rank, ranks)) for rank in range(ranks)]
            assert fields(joined_batches(shares)) == whole


def test_every_source_is_read_whole_in_every_one_of_its_epochs():
    mixture = Mixture(two(), rows=4, width=10, seed=Seed(5))
    read = Counter()
    steps = 200
    for step in range(steps):
        batch = mixture.batch(step)
        read.update(batch.ids[batch.docs >= 0].tolist())
    passes = mixture.epochs(steps)
    assert min(passes.values()) > 2
    for number in range(360):
        assert abs(read[number] - passes["loose"]) < 1
    for number in range(1_000_000, 1_000_200):
        assert abs(read[number] - passes["tight"]) < 1


@pytest.mark.parametrize("weights", [(3.0, 1.0), (1.0, 1.0), (0.123, 0.877), (1.0, 40.0)])
def test_tokens_keep_to_the_weights_within_a_row_at_every_step_whatever_is_lost_to_padding(weights):
    # Rows of `loose` hold 6 of 10 places and rows of `tight` all ten: equal numbers of rows would not do.
    mixture = Mixture(two(weights), rows=4, width=10, seed=Seed(5))
    tokens = np.zeros(2)
    for step in range(500):
        batch = mixture.batch(step)
        is_token = batch.docs >= 0
        is_tight = is_token & (batch.ids >= 1_000_000)
        tokens += np.count_nonzero(is_token & ~is_tight), np.count_nonzero(is_tight)
        target = tokens.sum() * np.array(weights) / sum(weights)
        assert np.abs(tokens - target).max() <= 10


def test_mean_fill_is_that_of_the_rows_read():
    mixture = Mixture(two((1.0, 1.0)), rows=8, width=10, seed=Seed(5))
    held = np.mean([(mixture.batch(step).docs >= 0).mean() for step in range(200)])
    assert mixture.fill == pytest.approx(held, abs=0.005)
    assert mixture.tokens_per_step == 80


@settings(max_examples=20)
@given(seed=st.integers(0, 99), sources=st.lists(lengths, min_size=1, max_size=3))
def test_when_a_document_was_read_is_told_from_the_seed(seed, sources):
    named = [Source(f"s{n}", numbered(each), n + 1) for n, each in enumerate(sources)]
    mixture = Mixture(named, rows=3, width=8, seed=Seed(seed))
    read = [mixture.documents(step) for step in range(30)]
    assert all(set(names) == {n for row in mixture.batch(step).doc_ids for n in row} for step, names in enumerate(read))
    for number, each in enumerate(sources):
        for document in range(len(each)):
            name = f"s{number}:doc-{document}"
            assert mixture.steps_of(name, 30) == [step for step, names in enumerate(read) if name in names]
    assert mixture.steps_of("doc-0", 30) == [
        step for step, names in enumerate(read) if any(n.endswith(":doc-0") for n in names)
    ]


@given(start=st.integers(0, 200), count=st.integers(1, 9))
def test_any_stretch_of_places_holds_the_rows_that_steps_hold_there(start, count):
    mixture = Mixture(two(), rows=2, width=10, seed=Seed(0))
    whole = joined_batches([mixture.batch(step) for step in range(start // 2, (start + count) // 2 + 1)])
    inside = slice(start % 2, start % 2 + count)
    here = mixture.stretch(range(start, start + count))
    assert here.ids.tolist() == whole.ids[inside].tolist()
    assert here.doc_ids == whole.doc_ids[inside]
    assert set(mixture.documents_in(range(start, start + count))) == {name for names in here.doc_ids for name in names}
    name = here.doc_ids[-1][0]
    assert start + count - 1 in mixture.places_of(name, start + count)


def test_a_document_nobody_has_is_an_error():
    with pytest.raises(UsageError, match="no document 'loose:doc-99' in loose, tight"):
        Mixture(two(), rows=2, width=10, seed=Seed(0)).steps_of("loose:doc-99", 5)


def test_a_source_that_may_be_read_once_ends_where_a_second_pass_would_begin():
    mixture = Mixture(two((1.0, 1.0), max_epochs=1), rows=4, width=10, seed=Seed(0))
    steps = mixture.max_steps
    assert mixture.epochs(steps)["tight"] <= 1 < mixture.epochs(steps + 1)["tight"]
    read = Counter(token for step in range(steps) for token in mixture.batch(step).ids[mixture.batch(step).docs >= 0].tolist())
    assert max(read[token] for token in range(1_000_000, 1_000_200)) == 1
    assert Mixture(two(), rows=4, width=10, seed=Seed(0)).max_steps is None


def test_names_change_nothing_but_names():
    one, other = (
        Mixture([Source(f"{prefix}{n}", numbered([7] * 20), 1.0) for n in range(2)], rows=3, width=8, seed=Seed(1)).batch(4)
        for prefix in "ab"
    )
    assert fields(one)[0] == fields(other)[0]
    assert {name[:2] for row in one.doc_ids for name in row} == {"a0", "a1"}


def test_two_sources_of_the_same_data_are_not_read_in_step():
    mixture = Mixture([Source(name, numbered([8] * 64), 1.0) for name in "ab"], rows=2, width=8, seed=Seed(1))
    assert [mixture.batch(step).ids[0, 0] for step in range(20)] != [mixture.batch(step).ids[1, 0] for step in range(20)]


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ([], "got nothing"),
        ([Source("a", numbered([3]), 0.0)], "weights above 0, got a: 0"),
        ([Source("a", numbered([3]), 1.0), Source("a", numbered([3]), 2.0)], "different names"),
    ],
)
def test_sources_that_cannot_be_mixed_are_an_error(sources, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Mixture(sources, rows=1, width=8, seed=Seed(0))

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError, UsageError
from whorl.core.records import Dialogue, Message
from whorl.core.seed import Seed
from whorl.tokens.batch import joined_batches
from whorl.tokens.loader import Loader, Share
from whorl.tokens.renderer import Renderer
from whorl.tokens.sequences import Sequences, dialogue_sequences


def numbered(lengths):
    """Sequences whose every token is a different number, so that any mix-up shows."""
    lengths = np.array(lengths, dtype=np.int64)
    names = pa.array([f"doc-{n}" for n in range(len(lengths))], pa.large_string())
    flat = np.arange(lengths.sum()).astype(np.uint16)
    return Sequences(flat, np.cumsum(lengths) - lengths, lengths, names=names, flat_weights=np.empty(0, np.float32))


def fields(batch):
    arrays = (batch.ids, batch.targets, batch.weights, batch.docs, batch.positions)
    return [array.tolist() for array in arrays], batch.doc_ids


documents = st.lists(st.integers(1, 40), min_size=1, max_size=20)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 12))


@given(lengths=documents, shape=shapes, seed=st.integers(0, 99))
def test_an_epoch_reads_every_token_once_and_trains_every_target_once(lengths, shape, seed):
    data = numbered(lengths)
    loader = Loader(data, rows=shape[0], width=shape[1], seed=Seed(seed))
    for epoch in range(2):
        read, trained = Counter(), Counter()
        for step in range(epoch * loader.steps_per_epoch, (epoch + 1) * loader.steps_per_epoch):
            batch = loader.batch(step)
            read.update(batch.ids[batch.docs >= 0].tolist())
            has_target = batch.weights > 0
            trained.update(zip(batch.ids[has_target].tolist(), batch.targets[has_target].tolist(), strict=True))
        assert read == Counter(range(sum(lengths)))
        want = [(int(t), int(t) + 1) for n in range(len(data)) for t in data.ids(n)[:-1]]
        assert trained == Counter(want)


@given(lengths=documents, shape=shapes, seed=st.integers(0, 99), steps=st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_any_step_of_a_fresh_loader_equals_a_straight_read(lengths, shape, seed, steps):
    straight = Loader(numbered(lengths), rows=shape[0], width=shape[1], seed=Seed(seed))
    read = [fields(straight.batch(step)) for step in range(max(steps) + 1)]
    resumed = Loader(numbered(lengths), rows=shape[0], width=shape[1], seed=Seed(seed))
    for step in steps:
        assert fields(resumed.batch(step)) == read[step]


@given(lengths=documents, shape=shapes, seed=st.integers(0, 99), step=st.integers(0, 60), ranks=st.integers(1, 4))
def test_the_shares_of_all_ranks_are_the_whole_step(lengths, shape, seed, step, ranks):
    loader = Loader(numbered(lengths), rows=shape[0], width=shape[1], seed=Seed(seed))
    ranks = min(ranks, shape[0])
    shares = [loader.batch(step, Share(rank, ranks)) for rank in range(ranks)]
    assert fields(joined_batches(shares)) == fields(loader.batch(step))
    sizes = [len(share.ids) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(lengths=documents, shape=shapes, seed=st.integers(0, 99))
def test_places_numbers_and_names_agree(lengths, shape, seed):
    data = numbered(lengths)
    loader = Loader(data, rows=shape[0], width=shape[1], seed=Seed(seed))
    owner = {int(token): data.name(n) for n in range(len(data)) for token in data.ids(n)}
    for step in range(loader.steps_per_epoch):
        batch = loader.batch(step)
        for row, names in enumerate(batch.doc_ids):
            places = batch.docs[row][batch.docs[row] >= 0]
            assert places.tolist() == sorted(places.tolist()), "documents lie one after another, padding last"
            assert sorted(set(places.tolist())) == list(range(len(names)))
            for number, name in enumerate(names):
                inside = batch.docs[row] == number
                assert batch.positions[row][inside].tolist() == list(range(inside.sum()))
                tokens = batch.ids[row][inside].tolist()
                assert tokens == list(range(tokens[0], tokens[0] + len(tokens)))
                assert {owner[token] for token in tokens} == {name}


@given(lengths=documents, shape=shapes, seed=st.integers(0, 99))
def test_when_a_document_was_read_is_told_from_the_seed(lengths, shape, seed):
    loader = Loader(numbered(lengths), rows=shape[0], width=shape[1], seed=Seed(seed))
    upto = 2 * loader.steps_per_epoch + 1
    read = [loader.documents(step) for step in range(upto)]
    assert all(set(names) == {n for row in loader.batch(step).doc_ids for n in row} for step, names in enumerate(read))
    for document in range(len(lengths)):
        told = loader.steps_of(f"doc-{document}", upto)
        assert told == [step for step, names in enumerate(read) if f"doc-{document}" in names]


@given(lengths=documents, shape=shapes, seed=st.integers(0, 99), start=st.integers(0, 90), count=st.integers(1, 30))
def test_any_stretch_of_places_holds_the_rows_that_steps_hold_there(lengths, shape, seed, start, count):
    rows, width = shape
    loader = Loader(numbered(lengths), rows=rows, width=width, seed=Seed(seed))
    whole = joined_batches([loader.batch(step) for step in range((start + count) // rows + 1)])
    here = loader.stretch(range(start, start + count))
    for name in ("ids", "targets", "weights", "docs", "positions"):
        assert getattr(here, name).tolist() == getattr(whole, name)[start : start + count].tolist()
    assert here.doc_ids == whole.doc_ids[start : start + count]
    assert set(loader.documents_in(range(start, start + count))) == {name for names in here.doc_ids for name in names}
    for name in {f"doc-{number}" for number in range(len(lengths))}:
        held = [place for place, names in enumerate(whole.doc_ids[: start + count]) if name in names]
        assert loader.places_of(name, start + count) == held


@pytest.mark.parametrize("places", [range(-1, 3), range(3, 3), range(0, 6, 2)])
def test_places_that_are_none_are_an_error(places):
    loader = Loader(numbered([5, 5]), rows=2, width=4, seed=Seed(0))
    for ask in (loader.stretch, loader.documents_in):
        with pytest.raises(UsageError, match="want neighbouring places from 0 on"):
            ask(places)


def test_two_seeds_and_two_epochs_read_in_different_orders():
    lengths = list(range(3, 43))
    loaders = [Loader(numbered(lengths), rows=2, width=44, seed=Seed(seed)) for seed in (1, 2)]
    orders = [[loader.documents(step) for step in range(loader.steps_per_epoch)] for loader in loaders]
    orders.append([loaders[0].documents(step + loaders[0].steps_per_epoch) for step in range(loaders[0].steps_per_epoch)])
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_a_worked_batch():
    # One document of five tokens and rows of eight: four targets, three places of padding.
    batch = Loader(numbered([5]), rows=1, width=8, seed=Seed(0)).batch(0)
    assert batch.ids.tolist() == [[0, 1, 2, 3, 4, 0, 0, 0]]
    assert batch.targets.tolist() == [[1, 2, 3, 4, 0, 0, 0, 0]]
    assert batch.weights.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert batch.docs.tolist() == [[0, 0, 0, 0, 0, -1, -1, -1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 0, 0, 0]]
    assert batch.doc_ids == (("doc-0",),)
    assert batch.num_targets == 4
    assert [batch.ids.dtype, batch.targets.dtype, batch.weights.dtype] == [np.int64, np.int64, np.float32]
    assert [batch.docs.dtype, batch.positions.dtype] == [np.int32, np.int32]


def test_the_target_of_a_cut_is_the_first_token_of_the_next_piece():
    loader = Loader(numbered([20]), rows=1, width=10, seed=Seed(0))
    batches = sorted((loader.batch(step) for step in range(2)), key=lambda batch: batch.ids[0, 0])
    assert batches[0].targets[0].tolist() == list(range(1, 11))
    assert batches[1].targets[0].tolist() == [*range(11, 20), 0]
    assert batches[1].positions[0].tolist() == list(range(10))
    assert batches[1].num_targets == 9


def test_the_last_step_of_an_epoch_is_filled_with_empty_rows():
    loader = Loader(numbered([8] * 5), rows=4, width=8, seed=Seed(0))
    assert loader.steps_per_epoch == 2
    assert loader.batch(0).num_targets == 4 * 7
    last = loader.batch(1)
    assert last.num_targets == 7
    assert (last.docs[1:] == -1).all()
    assert last.doc_ids[1:] == ((), (), ())
    assert loader.fill == 40 / 64
    assert loader.tokens_per_step == 32
    assert loader.num_tokens == 40


def test_a_sequence_longer_than_a_row_fails_unless_told_to_skip():
    with pytest.raises(DataError, match="2 of 3 sequences do not fit a row of width=8; the longest, doc-2, has 11 tokens"):
        Loader(numbered([9, 8, 11]), rows=1, width=8, seed=Seed(0), on_long="fail")
    loader = Loader(numbered([9, 8, 11]), rows=1, width=8, seed=Seed(0), on_long="skip")
    assert loader.too_long == 2
    assert loader.steps_per_epoch == 1
    assert loader.documents(0) == ("doc-1",)
    assert loader.num_tokens == 8


@pytest.mark.parametrize("lengths", [[], [9, 10]])
def test_nothing_to_read_is_an_error(lengths):
    with pytest.raises(DataError, match="nothing to read"):
        Loader(numbered(lengths), rows=1, width=8, seed=Seed(0), on_long="skip")


def test_a_wrong_shape_step_or_document_is_an_error():
    with pytest.raises(UsageError, match="rows=0, width=8: want at least 1"):
        Loader(numbered([3]), rows=0, width=8, seed=Seed(0))
    loader = Loader(numbered([3]), rows=1, width=8, seed=Seed(0))
    with pytest.raises(UsageError, match="step -1: want 0 or more"):
        loader.batch(-1)
    with pytest.raises(UsageError, match="no document 'doc-7' among the 1"):
        loader.steps_of("doc-7", upto=5)


@pytest.mark.parametrize("share", [Share(2, 2), Share(-1, 2), Share(0, 0), Share(0, 5)])
def test_a_share_that_is_none_is_an_error(share):
    loader = Loader(numbered([3] * 9), rows=4, width=8, seed=Seed(0))
    with pytest.raises(UsageError, match="ranks over 4 rows: want 0 <= rank < ranks <= rows"):
        loader.batch(0, share)


def test_a_far_epoch_is_read_without_those_before():
    lengths = [9, 30, 2, 5] * 5
    loader = Loader(numbered(lengths), rows=3, width=8, seed=Seed(1))
    far = 10**9 * loader.steps_per_epoch
    read = [
        token for n in range(loader.steps_per_epoch) for token in loader.batch(far + n).ids[loader.batch(far + n).docs >= 0]
    ]
    assert sorted(read) == list(range(sum(lengths)))
    assert loader.documents(far) != loader.documents(0)


def test_names_that_recur_are_told_apart_by_nothing_and_found_together():
    data = numbered([4, 4, 4])
    twins = Sequences(
        data.flat_ids,
        data.starts,
        data.lengths(),
        names=pa.array(["a", "b", "a"], pa.large_string()),
        flat_weights=data.flat_weights,
    )
    loader = Loader(twins, rows=1, width=4, seed=Seed(0))
    assert len(loader.steps_of("a", upto=3)) == 2
    assert set(loader.steps_of("a", upto=3)) | set(loader.steps_of("b", upto=3)) == {0, 1, 2}


def test_dialogues_train_what_the_assistant_says(tokenizer):
    renderer = Renderer(tokenizer)
    dialogues = [
        Dialogue("a", (Message("user", "spin"), Message("assistant", "thread"))),
        Dialogue("b", (Message("system", "brief"), Message("user", "loom?"), Message("assistant", "wheel"))),
    ]
    loader = Loader(dialogue_sequences(dialogues, renderer), rows=2, width=64, seed=Seed(0), on_long="fail")
    batch = loader.batch(0)
    trained = {
        name: tokenizer.decode(batch.targets[row][(batch.docs[row] == number) & (batch.weights[row] > 0)])
        for row, names in enumerate(batch.doc_ids)
        for number, name in enumerate(names)
    }
    assert trained == {"a": "thread<|end|>", "b": "wheel<|end|>"}


def test_a_dialogue_without_an_answer_is_named(tokenizer):
    mute = Dialogue("mute", (Message("user", "anyone?"),))
    with pytest.raises(DataError, match="dialogue mute: no assistant turn"):
        dialogue_sequences([mute], Renderer(tokenizer))

"""Encoders answer as each sequence alone does, and as transformers was recorded to (tests/golden/model)."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import DataError, UsageError
from whorl.infer.encode import Encoder

sys.path.append(str(Path(__file__).parents[1] / "model"))
from toy_models import config_of, filled_model, variants_of

GOLDEN = Path(__file__).parents[1] / "golden" / "model"
# What tests/model/test_hub asked the peer.
ROWS = [[5, 9, 60, 7], [0, 12, 33, 8, 8, 41, 3, 59, 20], [11]]
SEGMENTS = [[0, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1, 1], [0]]
READERS = [("bert", "plain"), ("bert", "classes"), ("modernbert", "first"), ("modernbert", "mean"), ("llama", "plain")]
each_reader = pytest.mark.parametrize(("family", "variant"), READERS)
NEAR = {"atol": 1e-5, "rtol": 0}


def reader(family, variant, tokens=16_384):
    return Encoder(filled_model(config_of(family, variants_of(family)[variant])), pad_id=2, tokens=tokens)


def alone(model, ids, pooling):
    """By definition: the sequence by itself, without padding or a mask."""
    with torch.no_grad():
        hidden = model(torch.tensor([ids]))[0]
    state = {"first": hidden[0], "last": hidden[-1], "mean": hidden.mean(dim=0)}[pooling]
    return state.numpy()


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 32), max_size=9), case=st.sampled_from(READERS), tokens=st.integers(1, 90), data=st.data()
)
def test_vectors_are_those_of_each_sequence_alone_in_order(lengths, case, tokens, data):
    pooling = data.draw(st.sampled_from(["first", "mean", "last"]))
    rng = np.random.default_rng(len(lengths))
    sequences = [rng.integers(0, 61, length).tolist() for length in lengths]
    encoder = reader(*case, tokens=tokens)
    found = encoder.embed(sequences, pooling=pooling, normalise=False)
    assert (found.shape, found.dtype) == ((len(lengths), encoder.model.config.width), np.float32)
    for ids, vector in zip(sequences, found, strict=True):
        np.testing.assert_allclose(vector, alone(encoder.model, ids, pooling), **NEAR)


@each_reader
def test_normalised_vectors_have_length_one_and_the_same_direction(family, variant):
    encoder = reader(family, variant)
    found, plain = encoder.embed(ROWS), encoder.embed(ROWS, normalise=False)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, **NEAR)
    np.testing.assert_allclose(found, plain / np.linalg.norm(plain, axis=1, keepdims=True), **NEAR)


@pytest.mark.parametrize(
    ("family", "variant", "pooling"),
    [("bert", "classes", "first"), ("modernbert", "mean", "mean"), ("bert", "plain", "mean"), ("llama", "plain", "last")],
)
def test_a_model_is_read_as_it_was_built_to_be(family, variant, pooling):
    encoder = reader(family, variant)
    assert encoder.pooling == pooling
    np.testing.assert_array_equal(encoder.embed(ROWS), encoder.embed(ROWS, pooling=pooling))


@pytest.mark.parametrize(("family", "variant"), [("bert", "classes"), ("modernbert", "first"), ("modernbert", "mean")])
@pytest.mark.parametrize("tokens", [1, 16_384])
def test_classes_are_those_the_peer_was_recorded_to_give(family, variant, tokens):
    encoder = reader(family, variant, tokens)
    segments = SEGMENTS if encoder.model.config.segments else None
    found = encoder.classify(ROWS, segments=segments)
    with np.load(GOLDEN / f"{family}.npz") as peer:
        scores = torch.from_numpy(peer[f"{variant}/padded_rows"])
    np.testing.assert_allclose(found, scores.log_softmax(dim=-1).numpy(), atol=1e-4)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, **NEAR)


def test_gaps_are_filled_with_what_the_peer_was_recorded_to_find_likeliest():
    """Row 1 of what the peer was asked holds id 8 twice: let it be the mask."""
    found = reader("bert", "plain").fill(ROWS, mask_id=8, top=3, segments=SEGMENTS)
    assert [[gap.position for gap in gaps] for gaps in found] == [[], [3, 4], []]
    with np.load(GOLDEN / "bert.npz") as peer:
        wanted = torch.from_numpy(peer["plain/padded"][1]).log_softmax(dim=-1)
    for gap in found[1]:
        best = wanted[gap.position].topk(3)
        assert list(gap.ids) == best.indices.tolist()
        np.testing.assert_allclose(gap.logprobs, best.values.numpy(), atol=1e-4)


def test_padding_under_the_budget_is_bounded():
    """A pass holds at most `tokens` places, and its shortest row three quarters of its longest."""
    encoder = reader("modernbert", "plain", tokens=64)
    rng = np.random.default_rng(0)
    read = []
    encoder.model.register_forward_hook(lambda module, ids, out: read.append(ids[0].shape))
    encoder.embed([rng.integers(0, 61, length).tolist() for length in rng.integers(1, 33, 50)])
    assert all(rows * columns <= 64 for rows, columns in read)
    assert len(read) > 1


@pytest.mark.parametrize(
    ("sequences", "fault"),
    [
        ([[1], []], "sequence 1 is empty"),
        ([[1] * 33], "sequence 0 has 33 tokens; the model's context is 32"),
        ([[1], [61]], "sequence 1 holds id 61; want ids from 0 to 60"),
        ([[-1]], "sequence 0 holds id -1"),
    ],
)
def test_sequences_that_cannot_be_read_are_refused_by_number(sequences, fault):
    encoder = reader("bert", "classes")
    for read in (encoder.embed, encoder.classify):
        with pytest.raises(DataError, match=fault):
            read(sequences)


def test_what_a_model_was_not_built_for_is_refused():
    with pytest.raises(UsageError, match="tells no classes"):
        reader("bert", "plain").classify(ROWS)
    with pytest.raises(UsageError, match="fills no gaps: it reads from left to right"):
        reader("llama", "plain").fill(ROWS, mask_id=8)
    with pytest.raises(UsageError, match="fills no gaps: it tells classes only"):
        reader("bert", "classes").fill(ROWS, mask_id=8)
    with pytest.raises(UsageError, match="top=62; want 1 to 61"):
        reader("bert", "plain").fill(ROWS, mask_id=8, top=62)
    with pytest.raises(UsageError, match="segments=0"):
        reader("modernbert", "plain").embed(ROWS, segments=SEGMENTS)
    with pytest.raises(DataError, match="one number for every token"):
        reader("bert", "plain").embed(ROWS, segments=SEGMENTS[:2])
    with pytest.raises(DataError, match="segments of sequence 2: want numbers from 0 to 1"):
        reader("bert", "plain").embed(ROWS, segments=[*SEGMENTS[:2], [2]])


def test_figures_that_are_not_finite_are_an_error_that_names_the_sequence():
    encoder = reader("bert", "plain")
    with torch.no_grad():
        encoder.model.embed.weight[60] = float("nan")
    with pytest.raises(DataError, match="sequence 1: the model's figures are not finite"):
        encoder.embed([[1, 2, 3, 4, 5], [5, 60]])
    # The embedding is the output matrix too, so every gap is beyond repair.
    with pytest.raises(DataError, match="sequence 0: the model's figures are not finite"):
        encoder.fill([[1, 8]], mask_id=8)


def test_nothing_to_read_gives_nothing():
    encoder = reader("bert", "classes")
    assert encoder.embed([]).shape == (0, 24)
    assert encoder.classify([]).shape == (0, 3)

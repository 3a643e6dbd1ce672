"""A small model that guesses: what it proposes, what it computes for that, and whose blocks it takes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import UsageError
from whorl.core.seed import Seed
from whorl.infer.draft_model import DraftModel
from whorl.model.families import Family
from whorl.model.transformer import Transformer

PROMPT = [9, 30, 41, 12, 50]


@pytest.fixture
def drafts(model):
    return DraftModel(model, vocab_size=61)


def greedy(model, tokens, count):
    """By full passes."""
    ids = list(tokens)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model.head(model(torch.tensor([ids])))[0, -1].argmax()))
    return ids[len(tokens) :]


def test_guesses_are_the_models_own_greedy_continuation(drafts, model):
    assert drafts.open().propose(PROMPT, 5) == greedy(model, PROMPT, 5)


def test_nothing_that_was_read_is_read_again(drafts, model):
    one, tokens = drafts.open(), list(PROMPT)
    guesses = one.propose(tokens, 4)
    assert drafts.num_read == 5 + 3  # the last guess has not been read
    # All were right, and one more was said: the last guess and the new token are read, then two guesses.
    tokens += [*guesses, 17]
    second = one.propose(tokens, 3)
    assert drafts.num_read == 8 + 2 + 2
    assert second == greedy(model, tokens, 3)
    # One was right, then another token was said: it is read in the place of the wrong guess.
    wrong = next(token for token in range(9, 61) if token != second[1])
    tokens += [second[0], wrong]
    assert one.propose(tokens, 1) == greedy(model, tokens, 1)
    assert drafts.num_read == 12 + 1


def test_a_request_that_was_not_guessed_for_in_a_while_is_read_from_where_it_was_left(drafts, model):
    one = drafts.open()
    one.propose(PROMPT, 1)
    tokens = [*PROMPT, 20, 21, 22, 23]
    assert one.propose(tokens, 2) == greedy(model, tokens, 2)
    assert drafts.num_read == 5 + 4 + 1


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_becomes_of_guesses_the_next_ones_are_those_of_a_fresh_reading(data):
    dials = {"use": "llama", "depth": 1, "width": 16, "heads": 2, "kv_heads": 1}
    model = Transformer.fresh(Family.model_validate(dials).configure(11, 64), Seed(0))
    drafts = DraftModel(model, vocab_size=11, cache_tokens=64)
    requests = [(drafts.open(), [1 + number]) for number in range(3)]
    for _ in range(data.draw(st.integers(1, 12))):
        one, tokens = requests[data.draw(st.integers(0, 2))]
        guesses = one.propose(tokens, data.draw(st.integers(0, 4)))
        assert guesses == greedy(model, tokens, len(guesses))
        right = data.draw(st.integers(0, len(guesses)))
        tokens += [*guesses[:right], data.draw(st.integers(0, 10))]
        drafts.check()
        if data.draw(st.booleans()) and data.draw(st.booleans()):
            one.close()
    for one, _ in requests:
        one.close()
    assert drafts.pool.num_held == 0


def test_it_guesses_up_to_the_last_place_of_its_context_and_no_further(drafts, model):
    tokens = [9] * 46
    assert drafts.open().propose(tokens, 8) == greedy(model, tokens, 3)  # 46, 47, 48 tokens have been read: 48 is all there is
    assert len(drafts.open().propose([9] * 48, 8)) == 1
    assert drafts.open().propose([9] * 49, 8) == []


def test_room_is_taken_from_who_guessed_longest_ago(model):
    drafts = DraftModel(model, vocab_size=61, cache_tokens=64)  # two blocks
    old, new = drafts.open(), drafts.open()
    old.propose(PROMPT, 2)
    new.propose(PROMPT[::-1], 2)
    drafts.open().propose([9, 10], 1)
    assert drafts.num_read == 6 + 6 + 2
    new.propose(PROMPT[::-1], 2)  # still there: only what is asked after is read
    assert drafts.num_read == 14 + 2
    assert old.propose(PROMPT, 2) == greedy(model, PROMPT, 2)  # read anew
    assert drafts.num_read == 16 + 6
    drafts.check()


def test_a_request_that_does_not_fit_gets_no_guesses_and_keeps_nothing(model):
    drafts = DraftModel(model, vocab_size=61, cache_tokens=32)
    assert drafts.open().propose([9] * 33, 4) == []
    assert (drafts.num_read, drafts.pool.num_held) == (0, 0)


def test_a_closed_request_gives_its_blocks_back(drafts):
    one = drafts.open()
    one.propose(PROMPT, 2)
    assert drafts.pool.num_held == 1
    one.close()
    drafts.check()
    assert drafts.pool.num_held == 0


def test_another_vocabulary_and_a_model_that_looks_both_ways_are_refused(model):
    with pytest.raises(UsageError, match="has 61 ids, the model it drafts for 62"):
        DraftModel(model, vocab_size=62)
    config = Family.model_validate({"use": "modernbert", "depth": 1, "width": 32, "heads": 2}).configure(61, 32)
    with pytest.raises(UsageError, match="looks both ways"):
        DraftModel(Transformer.fresh(config, Seed(0)), vocab_size=61)


def test_the_model_itself_is_left_as_it_was(model):
    before = model.head(model(torch.tensor([PROMPT]))).detach()
    model.compute_dtype = torch.bfloat16
    DraftModel(model, vocab_size=61).open().propose(PROMPT, 2)  # packs its own copies
    model.compute_dtype = torch.float32
    assert torch.equal(model.head(model(torch.tensor([PROMPT]))), before)

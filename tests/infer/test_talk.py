"""A conversation with a toy model: what is remembered, what is computed again, what is forgotten when the context is full."""

import pytest
import torch

from whorl.core.errors import DataError
from whorl.core.records import Message
from whorl.core.seed import Seed
from whorl.infer.answer import Asked, Model, engine_of
from whorl.infer.request import Sampling
from whorl.infer.setup import Setup
from whorl.infer.talk import Talk
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.renderer import Renderer

RENDERER = Renderer(learn_tokenizer(["the wheel turns the spindle and the spindle turns the whorl " * 3] * 20, size=300))
SIX = Sampling(6, temperature=1.0, seed=4)


def speaker(positions=256, **setup):
    config = Family.model_validate({"use": "llama", "depth": 1, "width": 64}).configure(RENDERER.tokenizer.size, positions)
    drawn = Transformer.fresh(config.model_copy(update={"zero_outputs": False, "init_std": 0.3}), Seed(1)).eval()
    return Model(engine_of(drawn, RENDERER, setup=Setup(rows=4, block_size=8, **setup)), RENDERER)


def heard(turn):
    """All pieces, the last one's whole."""
    pieces = list(turn.pieces)
    assert all(piece.whole is None for piece in pieces[:-1])
    assert "".join(piece.text for piece in pieces) == pieces[-1].whole.text
    return pieces[-1].whole


def test_an_answer_is_the_one_to_all_that_was_said():
    talk, other = Talk(speaker(), system="be brief"), speaker()
    for asked in ("turn the wheel", "and the spindle", "again"):
        before = [*talk._system, *talk._turns]
        contents = [*(said.ids for said in before), RENDERER.tokenizer.encode(asked)]
        prompt = RENDERER.prompt_of([*talk.messages, Message("user", asked)], contents)
        (wanted,) = other.answers([Asked(prompt, SIX)])
        said = heard(talk.ask(asked, SIX))
        assert said.ids == wanted.ids
        remembered = [*(one.message for one in before), Message("user", asked), Message("assistant", said.text)]
        assert talk.messages == remembered


def test_what_was_said_is_not_computed_again():
    """Of the prompt of a turn, all full blocks of the one before and of its answer are found."""
    talk = Talk(speaker())
    first = heard(talk.ask("turn the wheel and the spindle and the whorl", SIX))
    second = heard(talk.ask("again", SIX))
    third = heard(talk.ask("and again", SIX))
    assert first.num_cached == 0
    for before, after in ((first, second), (second, third)):
        said = len([token for token in before.ids if token not in RENDERER.stop_ids])
        computed = before.num_prompt + len(before.ids) - 1  # the last token was said and not yet read
        assert after.num_cached >= (min(computed, before.num_prompt + said) // 8) * 8 > 0


def test_ids_that_the_tokenizer_would_cut_otherwise_stay_as_they_were_said():
    """A toy model says tokens that no encoding of its text would choose."""
    talk = Talk(speaker())
    for number in range(6):
        said = heard(talk.ask("turn", Sampling(12, temperature=1.5, seed=number)))
        own = [token for token in said.ids if token not in RENDERER.stop_ids]
        special = set(own) & set(RENDERER.tokenizer.special_ids.tolist())
        is_own = not special and RENDERER.tokenizer.decode(own) == said.text
        assert talk._turns[-1].ids == (own if is_own else RENDERER.tokenizer.encode(said.text))
    kept = [turn.ids for turn in talk._turns if turn.message.role == "assistant"]
    texts = [turn.message.content for turn in talk._turns if turn.message.role == "assistant"]
    assert any(ids != RENDERER.tokenizer.encode(text) for ids, text in zip(kept, texts, strict=True))
    assert not any(set(ids) & set(RENDERER.tokenizer.special_ids.tolist()) for ids in kept)


def test_the_oldest_turns_are_forgotten_and_named_when_the_context_is_full():
    talk = Talk(speaker(positions=64), system="be brief")
    gone = []
    for number in range(8):
        turn = talk.ask(f"turn {number}", SIX)
        before = talk.messages
        gone += turn.forgotten
        heard(turn)
        assert talk.messages[0] == Message("system", "be brief")
        assert talk.messages[1].role == "user"
        assert [*before[1 + len(turn.forgotten) :], Message("user", f"turn {number}")] == talk.messages[1:-1]
    assert gone
    assert gone[0] == Message("user", "turn 0")


def test_a_turn_that_is_too_long_alone_is_refused_and_not_remembered():
    talk = Talk(speaker(positions=64))
    heard(talk.ask("turn", SIX))
    before = talk.messages
    with pytest.raises(DataError, match=r"the last message makes \d+ tokens; with 6 for the answer .* context of 64"):
        talk.ask("whorl " * 80, SIX)
    assert talk.messages == before


def test_an_answer_that_is_stopped_is_remembered_as_far_as_it_came():
    model = speaker()
    talk = Talk(model)
    turn, shown = talk.ask("turn", Sampling(100, logit_bias={RENDERER.tokenizer.end: float("-inf")})), ""
    for number, piece in enumerate(turn.pieces):
        shown += piece.text
        if number == 5:
            turn.stop()
    assert piece.whole.finish == "aborted"
    assert 0 < len(piece.whole.ids) < 100
    assert shown == piece.whole.text == talk.messages[-1].content
    assert model.engine.is_idle
    model.engine.check()
    heard(talk.ask("again", SIX))  # and the conversation goes on


def test_a_listener_who_leaves_gives_the_answer_up():
    model = speaker()
    talk = Talk(model)
    turn = talk.ask("turn", Sampling(100, logit_bias={RENDERER.tokenizer.end: float("-inf")}))
    next(turn.pieces)
    turn.pieces.close()
    assert model.engine.is_idle
    assert [message.role for message in talk.messages] == ["user", "assistant"]


def test_an_answer_that_failed_is_not_remembered():
    model = speaker()
    talk = Talk(model)
    heard(talk.ask("turn", SIX))
    before = talk.messages
    with torch.no_grad():
        model.engine.model.blocks[0].attn_norm.weight.fill_(float("nan"))
    failed = heard(talk.ask("again", SIX))
    assert (failed.finish, "not finite" in failed.error) == ("error", True)
    assert talk.messages == before


def test_reset_forgets_all_but_the_system_s_words():
    talk = Talk(speaker(), system="be brief")
    heard(talk.ask("turn", SIX))
    talk.reset()
    assert talk.messages == [Message("system", "be brief")]

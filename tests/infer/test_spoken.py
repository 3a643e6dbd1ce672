"""Vocabularies whose ids have no bytes: text comes piece by piece, and all of it is what decoding gives at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.infer.spoken import Spoken
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.tokenizer import VOCABULARY_FILE, Tokenizer

BYTES = learn_tokenizer(["the thread follows the thread"], size=280)


def joined_by_marks():
    """A word-piece vocabulary as BERT's is: pieces join what stands before them, and spaces are the decoder's."""
    words = ["the", "thread", "##s", "##ed", "follow", "whorl", ",", "."]
    said = json.loads(BYTES.files[VOCABULARY_FILE])
    special = [token["content"] for token in said["added_tokens"]]
    said |= {
        "model": {
            "type": "WordPiece",
            "unk_token": "the",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate([*special, *words])},
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }
    return Tokenizer({**BYTES.files, VOCABULARY_FILE: json.dumps(said)})


PIECES = joined_by_marks()


@pytest.mark.parametrize("tokenizer", [BYTES, PIECES], ids=["bytes", "pieces"])
@given(data=st.data())
def test_pieces_add_up_to_the_decoded_text(tokenizer, data):
    ids = data.draw(st.lists(st.sampled_from(tokenizer.plain_ids.tolist()), max_size=12))
    spoken, shown = Spoken(tokenizer), ""
    for token in ids:
        spoken.feed(token)
        shown += spoken.ready()
        assert not shown.endswith("\ufffd"), "half a character was shown"
    assert shown + spoken.rest() == tokenizer.decode(ids)
    assert spoken.rest() == ""


def test_a_character_of_several_ids_is_shown_when_it_is_whole():
    ids = BYTES.encode("\u6771")
    spoken = Spoken(BYTES)
    shown = []
    for token in ids:
        spoken.feed(token)
        shown.append(spoken.ready())
    assert shown == ["", "", "\u6771"]


def test_a_piece_joins_the_word_that_was_shown_before_it():
    spoken = Spoken(PIECES)
    shown = []
    for word in ("the", "thread", "##s", ","):
        spoken.feed(PIECES._vocabulary.pieces[word])
        shown.append(spoken.ready())
    assert shown == ["the", " thread", "s", ","]

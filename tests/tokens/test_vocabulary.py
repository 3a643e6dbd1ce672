import json

import pytest
from tokenizers import pre_tokenizers

from whorl.core.errors import ArtifactError
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.tokenizer import VOCABULARY_FILE
from whorl.tokens.vocabulary import BYTE_LETTERS, Vocabulary, as_bytes, as_letters

LEARNT = json.loads(learn_tokenizer(["the thread"], size=270).files[VOCABULARY_FILE])


def changed(**changes):
    return Vocabulary({**LEARNT, **changes})


def test_a_byte_is_written_as_the_library_writes_it():
    assert sorted(BYTE_LETTERS) == sorted(pre_tokenizers.ByteLevel.alphabet())
    for text in ("a b\n", "\u6771\U0001f9f6", "\x00\x7f\u00ad\u00a0"):
        ((written, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
        assert as_letters(text.encode()) == written
        assert as_bytes(written) == text.encode()


def test_what_is_no_byte_level_piece_has_no_bytes():
    assert as_bytes("\u2581the") is None


def test_a_learnt_vocabulary_is_lossless():
    assert Vocabulary(LEARNT).is_lossless


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
        {"pre_tokenizer": {"type": "BertPreTokenizer"}},
        {"decoder": None},
        {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}},
        {"model": {**LEARNT["model"], "vocab": {"a": 0}}},
        {"added_tokens": [{"id": 9, "content": "x", "special": False, "lstrip": True, "rstrip": False}]},
    ],
)
def test_a_step_that_may_lose_text_makes_it_lossy(changes):
    assert not changed(**changes).is_lossless


def test_a_split_that_throws_away_what_it_finds_is_lossy():
    step = {"type": "Split", "pattern": {"Regex": " "}, "behavior": "Removed", "invert": False}
    level = LEARNT["pre_tokenizer"]["pretokenizers"][1]
    assert not changed(pre_tokenizer={"type": "Sequence", "pretokenizers": [step, level]}).is_lossless


def test_digits_apart_are_only_another_cut():
    steps = [{"type": "Digits", "individual_digits": True}, *LEARNT["pre_tokenizer"]["pretokenizers"]]
    assert changed(pre_tokenizer={"type": "Sequence", "pretokenizers": steps}).is_lossless


def test_older_files_do_not_say_what_their_model_is():
    def untyped(**model):
        return Vocabulary({"model": model})

    assert untyped(vocab={"a": 0}, merges=[]).kind == "BPE"
    assert untyped(vocab={"a": 0}).kind == "WordPiece"
    assert untyped(vocab=[["a", 0.0]]).kind == "Unigram"


def test_merges_are_read_in_either_spelling():
    special = [{"id": 2, "content": "ab", "special": True}]
    for merges in (["a b"], [["a", "b"]]):
        model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": merges}
        assert Vocabulary({"model": model, "added_tokens": special}).spelled_by_text == {"ab"}


def test_random_encoding_is_refused():
    with pytest.raises(ArtifactError, match=r"here: model\.dropout is 0\.1.* set it to null"):
        Vocabulary.parse(json.dumps({**LEARNT, "model": {**LEARNT["model"], "dropout": 0.1}}), "here")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model": {}}', '{"model": {"vocab": 3}}', "[" * 100_000])
def test_what_is_no_vocabulary_is_an_error(text):
    with pytest.raises(ArtifactError, match="here is not a tokenizer"):
        Vocabulary.parse(text, "here")


def test_the_size_is_beyond_the_highest_id():
    added = [{"id": 11, "content": "c", "special": True}]
    vocabulary = Vocabulary({"model": {"vocab": {"a": 0, "b": 7}}, "added_tokens": added})
    assert vocabulary.size == 12
    assert vocabulary.ids == {0, 7, 11}
    assert Vocabulary({"model": {"vocab": {}}}).size == 0

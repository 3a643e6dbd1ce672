import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import ArtifactError, DataError
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.tokenizer import CONFIG_FILE, FILES, SPECIALS, VOCABULARY_FILE, Tokenizer

TINY = learn_tokenizer(["the thread follows the thread"], size=280)

markup = st.sampled_from([*SPECIALS, "<|", "|>", "end", " ", "\n", "\r\n", "1", "a", "\u0301", "\u017f", "'"])
texts = st.one_of(st.text(), st.lists(markup).map("".join))


@given(text=texts)
def test_every_text_comes_back_as_it_was(text):
    assert TINY.decode(TINY.encode(text)) == text


@given(text=texts)
def test_no_text_is_ever_encoded_to_a_special_id(text):
    assert all(number >= len(SPECIALS) for number in TINY.encode(text))


@given(batch=st.lists(texts, max_size=8))
def test_a_batch_is_encoded_like_its_texts_one_by_one(batch):
    assert [ids.tolist() for ids in TINY.encode_batch(batch)] == [TINY.encode(text) for text in batch]


def test_the_library_by_itself_would_end_the_document_here(tokenizer):
    # The trap that `encode` closes; should the library change, this says so.
    naive = type(tokenizer._backend).from_str(tokenizer.files[VOCABULARY_FILE])
    assert tokenizer.end in naive.encode("a<|end|>b", add_special_tokens=False).ids
    assert tokenizer.end not in tokenizer.encode("a<|end|>b")


def test_special_tokens_come_first_in_a_learnt_vocabulary(tokenizer):
    assert (tokenizer.bos, tokenizer.end, tokenizer.pad) == (0, 1, 2)
    assert [tokenizer.role(name) for name in ("system", "user", "assistant", "tool")] == [3, 4, 5, 6]
    assert tokenizer.decode(range(7)) == "<|bos|><|end|><|pad|><|system|><|user|><|assistant|><|tool|>"


def test_half_a_character_decodes_to_the_replacement_character(tokenizer):
    first_byte = tokenizer.encode("\u00ff")[:1] if len(tokenizer.encode("\u00ff")) > 1 else []
    assert first_byte
    assert tokenizer.decode(first_byte) == "\ufffd"


def test_decoding_takes_arrays_of_any_integer_type(tokenizer):
    ids = tokenizer.encode("The whorl turns")
    for dtype in (np.uint16, np.int32, np.int64):
        assert tokenizer.decode(np.array(ids, dtype=dtype)) == "The whorl turns"


@pytest.mark.parametrize("wrong", [-1, 340])
def test_an_id_outside_the_vocabulary_is_an_error(tokenizer, wrong):
    with pytest.raises(DataError, match=f"id {wrong} is outside the vocabulary of 340"):
        tokenizer.decode([5, wrong])


def test_a_lone_surrogate_is_named_with_its_place(tokenizer):
    with pytest.raises(DataError, match="text 0 of 1: character 2 is the lone surrogate U\\+D800"):
        tokenizer.encode("ab\ud800")
    with pytest.raises(DataError, match="text 1 of 3: character 0 is the lone surrogate U\\+DFFF"):
        tokenizer.encode_batch(["fine", "\udfff", "fine"])


def test_more_texts_than_one_chunk_keep_their_order(tokenizer):
    many = [str(number) for number in range(2100)]
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(many)] == many


def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer, tmp_path: Path):
    tokenizer.save(tmp_path / "one")
    again = Tokenizer.load(tmp_path / "one")
    again.save(tmp_path / "two")
    assert again.fingerprint == tokenizer.fingerprint
    assert again.size == tokenizer.size == 340
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_folder_without_its_files_says_which_are_missing(tokenizer, tmp_path: Path):
    tokenizer.save(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(ArtifactError, match=r"no chat_template\.jinja; want a tokenizer folder"):
        Tokenizer.load(tmp_path)


def test_a_vocabulary_that_is_no_json_or_no_tokenizer_is_an_error(tokenizer):
    for text in ("{", "{}", "[1]"):
        with pytest.raises(ArtifactError, match=r"here: tokenizer\.json is not a tokenizer"):
            Tokenizer({**tokenizer.files, VOCABULARY_FILE: text}, "here")


def test_a_vocabulary_without_our_special_tokens_is_refused(tokenizer):
    value = json.loads(tokenizer.files[VOCABULARY_FILE])
    value["added_tokens"] = [token for token in value["added_tokens"] if token["content"] != "<|tool|>"]
    with pytest.raises(ArtifactError, match=r"here: .* no special token <\|tool\|>"):
        Tokenizer({**tokenizer.files, VOCABULARY_FILE: json.dumps(value)}, "here")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("{", r"tokenizer_config\.json is not JSON"),
        ("[]", r"tokenizer_config\.json is no JSON object"),
        ('{"bos_token": "<|bos|>"}', r"names no token for end, pad; bring it in with tokens\.load"),
    ],
)
def test_a_config_that_does_not_frame_documents_is_refused(tokenizer, config, complaint):
    with pytest.raises(ArtifactError, match=complaint):
        Tokenizer({**tokenizer.files, CONFIG_FILE: config}, "here")


def test_a_vocabulary_that_the_library_cannot_use_is_an_error(tokenizer):
    value = json.loads(tokenizer.files[VOCABULARY_FILE])
    value["pre_tokenizer"] = {"type": "Nonsense"}
    with pytest.raises(ArtifactError, match=r"here: tokenizer\.json is not a tokenizer"):
        Tokenizer({**tokenizer.files, VOCABULARY_FILE: json.dumps(value)}, "here")


def test_truncation_and_padding_asked_for_by_a_file_are_not_obeyed(tokenizer):
    value = json.loads(tokenizer.files[VOCABULARY_FILE])
    value["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    value["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 2,
        "pad_type_id": 0,
        "pad_token": "<|pad|>",
    }
    cut = Tokenizer({**tokenizer.files, VOCABULARY_FILE: json.dumps(value)})
    assert cut.encode("The whorl turns the loom.") == tokenizer.encode("The whorl turns the loom.")
    assert cut.encode("The") == tokenizer.encode("The")

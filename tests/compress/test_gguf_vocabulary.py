import json

import pytest
from toy_exports import TOKENIZER

from whorl.compress.gguf_vocabulary import CONTROL, NORMAL, UNUSED, USER_DEFINED, cutting_of, words_of
from whorl.core.errors import DataError
from whorl.model.families import Family
from whorl.tokens.splits import SPLITS
from whorl.tokens.vocabulary import Vocabulary


def vocabulary(split="qwen2", **changes):
    data = json.loads((TOKENIZER / "tokenizer.json").read_text())
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": SPLITS.get(split, split)}
    data["model"] |= changes.pop("model", {})
    return Vocabulary({**data, **changes})


@pytest.mark.parametrize(("split", "name"), [("qwen2", "qwen2"), ("gpt2", "gpt-2"), ("llama3", "smaug-bpe")])
def test_splits_that_llama_cpp_knows_go_by_its_names(split, name):
    assert cutting_of(vocabulary(split)).name == name


@pytest.mark.parametrize("split", ["cl100k", "o200k", r"\w+|\W+"])
def test_a_split_it_does_not_know_is_refused_naming_those_it_does(split):
    with pytest.raises(DataError, match="it knows the splits qwen2, gpt2 and llama3"):
        cutting_of(vocabulary(split))


def test_whole_words_as_llama_3_publishes_them_have_a_name_of_their_own():
    assert cutting_of(vocabulary("llama3", model={"ignore_merges": True})).name == "llama-bpe"
    with pytest.raises(DataError, match="no name for how this vocabulary cuts"):
        cutting_of(vocabulary("qwen2", model={"ignore_merges": True}))


def test_what_differs_on_rare_characters_is_said():
    assert cutting_of(vocabulary("qwen2")).differences == ()
    published = vocabulary(Family.find("qwen2", frozenset()).split, normalizer={"type": "NFC"})
    name, differences = cutting_of(published)
    assert name == "qwen2"
    assert ["\\u017f" in difference or "NFC" in difference for difference in differences] == [True, True]


def test_a_normaliser_that_llama_cpp_does_not_have_is_refused():
    with pytest.raises(DataError, match=r"does not normalise text, and this vocabulary does: \{'type': 'Lowercase'\}"):
        cutting_of(vocabulary(normalizer={"type": "Lowercase"}))


def test_bytes_alone_with_their_own_expression_are_gpt2():
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    assert cutting_of(vocabulary(pre_tokenizer=step)).name == "gpt-2"
    with pytest.raises(DataError, match="no name"):
        cutting_of(vocabulary(pre_tokenizer={**step, "add_prefix_space": True}))


def test_other_kinds_of_vocabulary_are_refused():
    with pytest.raises(DataError, match="and this is WordPiece"):
        cutting_of(vocabulary(model={"type": "WordPiece"}))


def test_pieces_special_tokens_and_rows_without_a_meaning_are_told_apart():
    added = [{**token, "special": token["content"] != "<|tool|>"} for token in vocabulary().added]
    words = words_of(vocabulary(added_tokens=added), 342)
    assert (words.tokens[0], words.kinds[0]) == ("<|bos|>", CONTROL)
    assert words.kinds[words.tokens.index("<|tool|>")] == USER_DEFINED
    assert words.kinds[words.tokens.index("a")] == NORMAL
    assert (words.tokens[-2:], words.kinds[-2:]) == (("[UNUSED340]", "[UNUSED341]"), (UNUSED, UNUSED))
    assert len(set(words.tokens)) == len(words.tokens) == 342


def test_merges_are_pairs_in_one_string_whatever_the_file_has():
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in vocabulary().model["merges"]]
    joined = tuple(" ".join(pair) for pair in pairs)
    assert words_of(vocabulary(model={"merges": pairs}), 340).merges == joined
    assert words_of(vocabulary(model={"merges": list(joined)}), 340).merges == joined


def test_a_model_with_fewer_rows_than_the_tokenizer_has_ids_is_refused():
    with pytest.raises(DataError, match="the tokenizer has 340 ids and the model rows for 339"):
        words_of(vocabulary(), 339)

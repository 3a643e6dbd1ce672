import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import UsageError
from whorl.tokens.learn import MIN_SIZE, learn_tokenizer, min_size
from whorl.tokens.splits import SPLITS
from whorl.tokens.tokenizer import CONFIG_FILE, MASK, SPECIALS, VOCABULARY_FILE
from whorl.tokens.vocabulary import CONTINUES

LEARN = """
from whorl.tokens.learn import learn_tokenizer
texts = [f"the {a} turns the {b}" for a in ("loom", "wheel", "whorl") for b in ("thread", "fibre", "\\u00e9t\\u00e9")]
print(*(learn_tokenizer(texts, size=600, kind=kind).fingerprint for kind in ("bpe", "wordpiece", "unigram")))
"""
KINDS = ("bpe", "wordpiece", "unigram")
TALE = [
    "The spindle's whorl turns 12345 times; na\u00efve \u6771\u4eac.\n\n  x = '<|end|>'\r\n",
    "it isn't, IT'S \U0001f9f6",
] * 4
BY_KIND = {kind: learn_tokenizer(TALE, size=560, kind=kind, split="llama3") for kind in KINDS}

each_kind = pytest.mark.parametrize("kind", KINDS)


def test_the_first_merge_is_the_most_frequent_pair():
    # "ab" occurs three times, "cd" twice, everything else less.
    learnt = learn_tokenizer(["ab ab ab", "cd cd"], size=MIN_SIZE + 1)
    assert learnt.size == 264
    assert learnt.encode("ab") == [263]
    assert len(learnt.encode("cd")) == 2


def test_two_processes_with_different_hash_seeds_learn_the_same_vocabulary():
    fingerprints = set()
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", LEARN], env=environment, capture_output=True, text=True, check=True)
        fingerprints.add(done.stdout.strip())
    assert len(fingerprints) == 1
    assert len(set(fingerprints.pop().split())) == 3


@each_kind
def test_the_order_of_texts_does_not_matter(kind):
    texts = ["one thread", "two threads", "red thread", "two looms"]
    one, other = (learn_tokenizer(some, size=530, kind=kind) for some in (texts, texts[::-1]))
    assert one.fingerprint == other.fingerprint


@each_kind
@settings(max_examples=50)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from([*SPECIALS, "the", " ", "##", CONTINUES, "\u2581"])).map("".join)))
def test_every_text_comes_back_whatever_the_kind(kind, text):
    tokenizer = BY_KIND[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.lossless
    assert tokenizer.decode(ids) == text
    assert all(number >= len(SPECIALS) for number in ids)


@each_kind
def test_every_text_comes_back_from_a_run_without_a_break(kind):
    for text in ("a" * 50_000, "^" * 200_000, "ab\x00" * 9000):
        assert BY_KIND[kind].decode(BY_KIND[kind].encode(text)) == text


@each_kind
def test_the_specials_have_the_same_ids_whatever_the_kind(kind):
    assert [BY_KIND[kind].bos, BY_KIND[kind].end, BY_KIND[kind].pad] == [0, 1, 2]
    assert BY_KIND[kind].decode(range(7)) == "".join(SPECIALS)
    assert min_size(kind) < BY_KIND[kind].size <= 560


@each_kind
def test_nothing_to_learn_from_leaves_the_bytes_whatever_the_kind(kind):
    bare = learn_tokenizer([], size=600, kind=kind)
    assert bare.size == min_size(kind)
    assert bare.decode(bare.encode("\u6771\U0001f9f6\x00")) == "\u6771\U0001f9f6\x00"


@pytest.mark.parametrize("split", SPLITS)
def test_a_vocabulary_can_be_learnt_on_every_split(split):
    learnt = learn_tokenizer(TALE, size=300, split=split)
    assert learnt.size == 300
    assert [learnt.decode(learnt.encode(text)) for text in TALE] == TALE


def test_wordpiece_takes_the_longest_piece_first():
    # "abc" is a word, "ab" and "c" inside of one are pieces too; the longest that fits is taken.
    learnt = learn_tokenizer([*["abc"] * 3, *["abd"] * 2], size=530, kind="wordpiece", split="gpt2")
    pieces = json.loads(learnt.files[VOCABULARY_FILE])["model"]["vocab"]
    assert learnt.encode("abc") == [pieces["abc"]]
    assert learnt.encode("abcd") == [pieces["abc"], pieces[CONTINUES + "d"]]


def test_wordpiece_holds_every_byte_in_both_places():
    vocabulary = json.loads(BY_KIND["wordpiece"].files[VOCABULARY_FILE])["model"]["vocab"]
    by_id = sorted(vocabulary, key=vocabulary.get)
    assert by_id[: len(SPECIALS)] == list(SPECIALS)
    assert [len(piece) for piece in by_id[len(SPECIALS) : min_size("wordpiece")]] == [1] * 256 + [2] * 256
    assert sorted(vocabulary.values()) == list(range(560))


def test_unigram_prefers_the_more_probable_cut():
    learnt = learn_tokenizer(["spin spin spin wheel wheel spinwheel"], size=280, kind="unigram", split="gpt2")
    assert learnt.decode(learnt.encode("spinwheel")[:1]) in ("spin", "spinwheel")
    assert len(learnt.encode("spinwheelspin")) <= 3


def test_the_vocabulary_holds_specials_then_all_bytes_then_merges(tokenizer):
    vocabulary = json.loads(tokenizer.files[VOCABULARY_FILE])["model"]["vocab"]
    by_id = sorted(vocabulary, key=vocabulary.get)
    assert by_id[: len(SPECIALS)] == list(SPECIALS)
    assert all(len(token) == 1 for token in by_id[len(SPECIALS) : MIN_SIZE])
    assert all(len(token) > 1 for token in by_id[MIN_SIZE:])
    assert sorted(vocabulary.values()) == list(range(340))


def test_text_that_spells_markup_is_learnt_as_text():
    learnt = learn_tokenizer(["<|end|> <|end|> <|end|> <|user|>"] * 9, size=300)
    assert learnt.end not in learnt.encode("<|end|>")
    assert learnt.decode(learnt.encode("<|end|>")) == "<|end|>"


def test_digits_are_never_merged():
    learnt = learn_tokenizer(["1234 1234 1234"] * 9, size=300)
    assert len(learnt.encode("1234")) == 4


def test_a_text_too_poor_for_the_size_gives_fewer_ids():
    assert learn_tokenizer(["ab ab"], size=1000).size == 264


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_nothing_to_learn_from_leaves_the_bytes(texts):
    bare = learn_tokenizer(texts, size=300)
    assert bare.size == MIN_SIZE
    assert bare.decode(bare.encode("\u6771\U0001f9f6\x00")) == "\u6771\U0001f9f6\x00"


@pytest.mark.parametrize(("kind", "least"), [("bpe", 263), ("unigram", 263), ("wordpiece", 519)])
def test_a_size_below_the_bytes_is_refused(kind, least):
    assert learn_tokenizer(["ab"], size=least, kind=kind).size == least
    with pytest.raises(UsageError, match=f"size={least - 1}: want at least {least} for {kind}"):
        learn_tokenizer(["ab"], size=least - 1, kind=kind)


def test_the_split_is_written_as_llama_cpp_writes_it(tokenizer):
    pattern = json.loads(tokenizer.files[VOCABULARY_FILE])["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    assert pattern == SPLITS["qwen2"]
    assert "|\\p{N}|" in pattern
    assert json.loads(tokenizer.files[VOCABULARY_FILE])["normalizer"] is None


@each_kind
def test_a_mask_takes_the_last_id_and_moves_no_other(kind):
    with_mask = learn_tokenizer(TALE, size=560, kind=kind, split="llama3", mask=True)
    without = learn_tokenizer(TALE, size=559, kind=kind, split="llama3")
    assert with_mask.mask == with_mask.size - 1 == without.size
    assert without.mask is None
    for text in (*TALE, f"no {MASK} in text", "<|mask"):
        assert with_mask.encode(text) == without.encode(text)
        assert with_mask.decode(with_mask.encode(text)) == text
    assert with_mask.decode([with_mask.mask]) == MASK
    assert with_mask.special_ids.tolist() == [*range(len(SPECIALS)), with_mask.mask]
    assert with_mask.plain_ids.tolist() == list(range(len(SPECIALS), with_mask.mask))


def test_other_tools_are_told_what_opens_parts_and_hides():
    said = json.loads(learn_tokenizer(TALE, size=280, mask=True).files[CONFIG_FILE])
    assert (said["cls_token"], said["sep_token"], said["mask_token"]) == ("<|bos|>", "<|end|>", MASK)
    assert said["added_tokens_decoder"]["279"]["content"] == MASK
    assert "mask_token" not in json.loads(BY_KIND["bpe"].files[CONFIG_FILE])


def test_a_size_without_room_for_the_mask_is_refused():
    with pytest.raises(UsageError, match="size=263: want at least 264 for bpe"):
        learn_tokenizer(TALE, size=MIN_SIZE, mask=True)

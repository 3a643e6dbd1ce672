import json
import os
import subprocess
import sys

import pytest

from whorl.core.errors import UsageError
from whorl.tokens.learn import MIN_SIZE, SPLITS, learn_tokenizer
from whorl.tokens.tokenizer import SPECIALS, VOCABULARY_FILE

LEARN = """
from whorl.tokens.learn import learn_tokenizer
texts = [f"the {a} turns the {b}" for a in ("loom", "wheel", "whorl") for b in ("thread", "fibre", "\\u00e9t\\u00e9")]
print(learn_tokenizer(texts, size=330).fingerprint)
"""


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
    assert len(fingerprints.pop()) == 64


def test_the_order_of_texts_does_not_matter(tokenizer):
    texts = ["one thread", "two threads", "red thread", "two looms"]
    assert learn_tokenizer(texts, size=290).fingerprint == learn_tokenizer(texts[::-1], size=290).fingerprint


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


def test_a_size_below_the_bytes_is_refused():
    with pytest.raises(UsageError, match="size=262: want at least 263"):
        learn_tokenizer(["ab"], size=262)


def test_the_split_is_written_as_llama_cpp_writes_it(tokenizer):
    pattern = json.loads(tokenizer.files[VOCABULARY_FILE])["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    assert pattern == SPLITS["qwen2"]
    assert "|\\p{N}|" in pattern
    assert json.loads(tokenizer.files[VOCABULARY_FILE])["normalizer"] is None

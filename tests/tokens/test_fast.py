"""gigatoken and tokenizers give the same ids, and where they would not, the reference is asked."""

import bz2
import json
import os
import unicodedata
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.tokens import fast
from whorl.tokens.battery import NASTY
from whorl.tokens.column import encode_by_reference
from whorl.tokens.learn import MIN_SIZE, learn_tokenizer
from whorl.tokens.splits import SPLITS
from whorl.tokens.tokenizer import SPECIALS, VOCABULARY_FILE, Tokenizer
from whorl.tokens.vocabulary import BYTE_LETTERS, Vocabulary

LEARNT_FROM = [*(text[:60] for text in NASTY), "The spindle turns; it'll turn, WE'RE SURE. 2024-11-21\n\n  x += 1\r\n"] * 3
BY_SPLIT = {split: learn_tokenizer(LEARNT_FROM, size=500, split=split) for split in SPLITS}

alphabet = [
    *SPECIALS,
    *("'s", "'S", "'\u017f", "'Ll", "'re", " ", "  ", "\n", "\r\n", "\t", "\x00", "\u00a0", "\u2028", "\u0085", "\u3000"),
    *("a", "A", "the", " the", "1", "12345", "\u0661", "\u00bd", "!", "...", "/", "^", "_", "<|", "|>", "\u200b", "\ufeff"),
    *("\u0301", "\u00e9", "\u01c5", "\u02b0", "\u2160", "\u6771", "\U0001f9f6", "\u0e44", "\ua7ce", "\U00016ea0", "\uffff"),
]
nasty = st.lists(st.tuples(st.sampled_from(alphabet), st.integers(1, 4)), max_size=14).map(
    lambda parts: "".join(piece * times for piece, times in parts)
)
texts = st.lists(st.one_of(nasty, st.text(max_size=30)), max_size=5)
each_split = pytest.mark.parametrize("split", SPLITS)


def encoder_of(tokenizer):
    found = tokenizer._encoder
    assert found.fast is not None, found.reason
    return found.fast


def assert_equal(encoder, batch):
    ours = encoder.encode(pa.array(batch, pa.large_string()))
    wanted = encode_by_reference(encoder._reference, batch)
    assert np.array_equal(ours.offsets, wanted.offsets)
    assert np.array_equal(ours.ids, wanted.ids)
    assert (ours.ids.dtype, ours.offsets.dtype) == (wanted.ids.dtype, wanted.offsets.dtype) == (np.uint32, np.int64)


@each_split
@settings(max_examples=50)
@given(batch=texts)
def test_the_fast_ids_are_the_reference_ids(split, batch):
    assert_equal(encoder_of(BY_SPLIT[split]), batch)


@each_split
@pytest.mark.parametrize("unit", ["a", "^", " ", "\n", "ab", "a\u0301", "1", "'s", "\u6771"])
def test_long_runs_give_the_same_ids(split, unit):
    assert_equal(encoder_of(BY_SPLIT[split]), [unit * 30_000, "x"])


def test_a_million_carets_do_not_end_the_process():
    assert_equal(encoder_of(BY_SPLIT["o200k"]), ["^" * 1_000_000])


@each_split
def test_text_that_spells_a_special_token_never_becomes_one(split):
    tokenizer = BY_SPLIT[split]
    assert tokenizer.encoder == "gigatoken"
    many = pa.array(["".join(SPECIALS) + " and text <|end|> again"] * 2000)
    assert many.nbytes > 1 << 16, "else the reference is asked"
    encoded = tokenizer.encode_column(many)
    assert int(encoded.ids.min()) >= len(SPECIALS)
    assert tokenizer.decode(encoded.ids[: encoded.offsets[1]]) == many[0].as_py()


def test_slices_and_empty_columns_are_what_they_say():
    encoder = encoder_of(BY_SPLIT["qwen2"])
    column = pa.array(["one", "", "two \ua7ce", "three", ""], pa.large_string())
    for start, stop in ((0, 5), (1, 3), (2, 2), (3, 5), (5, 5)):
        ours = encoder.encode(column.slice(start, stop - start))
        wanted = encode_by_reference(encoder._reference, column.to_pylist()[start:stop])
        assert np.array_equal(ours.ids, wanted.ids)
        assert np.array_equal(ours.offsets, wanted.offsets)


def test_what_it_remembers_is_thrown_away_in_time(monkeypatch):
    monkeypatch.setattr(fast, "_RENEWED_AFTER", 1000)
    encoder = encoder_of(learn_tokenizer(LEARNT_FROM, size=300))
    opened = [encoder._fast]
    for number in range(40):
        assert_equal(encoder, [f"{number} the spindle turns " * 4])
        if encoder._fast is not opened[-1]:
            opened.append(encoder._fast)
    assert 2 < len(opened) < 10


@pytest.mark.real
@pytest.mark.parametrize("split", ["qwen2", "cl100k", "o200k"])
def test_real_pages_and_reviews_get_the_same_ids(split):
    if not os.environ.get("WHORL_REAL_DATA"):
        pytest.skip("WHORL_REAL_DATA is not set: no real files")
    corpus = Path(os.environ["WHORL_REAL_DATA"]) / "corpus"
    xml = bz2.decompress((corpus / "enwiki-shortened.xml.bz2").read_bytes()).decode("utf-8", "replace")[:3_000_000]
    with zipfile.ZipFile(corpus / "nltk" / "udhr2.zip") as archive:
        declarations = [archive.read(name).decode("utf-8", "replace") for name in archive.namelist() if name.endswith(".txt")]
    assert len(declarations) > 100, "in as many languages"
    pieces = [xml[start : start + 10_000] for start in range(0, len(xml), 10_000)]
    assert_equal(
        encoder_of(learn_tokenizer([*pieces[:40], *declarations[::9]], size=4096, split=split)), [*pieces, *declarations]
    )


def alone(tokenizer):
    """gigatoken without the reference beside it."""
    return encoder_of(tokenizer)._by_fast


def test_newer_letters_would_differ_and_are_kept_away():
    # U+A7CE is a letter since Unicode 17, which one library knows; should the other learn it, this says so.
    text = "a\ua7ce"
    tokenizer = learn_tokenizer(["a\uac00" * 9], size=280, split="gpt2")  # joins `a` with the byte that begins both
    assert alone(tokenizer)(pa.array([text], pa.large_string())).ids.tolist() != tokenizer.encode(text)
    assert_equal(encoder_of(tokenizer), [text, "plain", text])


def test_the_long_s_is_kept_away_where_the_split_is_respelled():
    text = "it'\u017fa"
    tokenizer = learn_tokenizer([text * 9], size=280)
    assert alone(tokenizer)(pa.array([text], pa.large_string())).ids.tolist() != tokenizer.encode(text)
    assert_equal(encoder_of(tokenizer), [text])


@pytest.mark.slow
@pytest.mark.parametrize("split", ["qwen2", "cl100k", "o200k", "gpt2"])
def test_both_libraries_agree_on_every_character_that_this_python_knows(split):
    encoder = encoder_of(_sensitive(split))
    known = [chr(point) for point in range(0x110000) if unicodedata.category(chr(point)) not in ("Cn", "Cs")]
    for start in range(0, len(known), 20_000):
        some = known[start : start + 20_000]
        assert_equal(encoder, [f"a{c}|!{c}|1{c}| {c}a|A{c}a|'{c}|{c}'s|{c}\n|\n{c}|  {c}." for c in some])


def _sensitive(split):
    """A vocabulary that joins any byte that opens or ends a character with an ASCII neighbour: every cut shows in the ids."""
    bare = learn_tokenizer([], size=MIN_SIZE, split=split)
    model = json.loads(bare.files[VOCABULARY_FILE])["model"]
    opens, ends, neighbours = range(0xC2, 0xF5), range(0x80, 0xC0), b"a!1 A'\n.s|"
    pairs = [(x, lead) for x in neighbours for lead in opens] + [(last, x) for x in neighbours for last in ends]
    merges = [[BYTE_LETTERS[left], BYTE_LETTERS[right]] for left, right in pairs]
    vocab = model["vocab"] | {"".join(pair): MIN_SIZE + number for number, pair in enumerate(merges)}
    return opened(bare, model={**model, "vocab": vocab, "merges": merges})


def test_another_vocabulary_kind_is_left_to_the_reference():
    tokenizer = learn_tokenizer(LEARNT_FROM, size=600, kind="wordpiece")
    assert (tokenizer.encoder, tokenizer.encoder_reason) == ("tokenizers", "gigatoken encodes BPE, and this is WordPiece")


def opened(tokenizer, **changes):
    data = {**json.loads(tokenizer.files[VOCABULARY_FILE]), **changes}
    return Tokenizer({**tokenizer.files, VOCABULARY_FILE: json.dumps(data)})


def test_a_split_that_gigatoken_does_not_know_is_left_to_the_reference():
    data = json.loads(BY_SPLIT["gpt2"].files[VOCABULARY_FILE])
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{N}{1,2}|\p{L}+|."
    tokenizer = opened(BY_SPLIT["gpt2"], pre_tokenizer=data["pre_tokenizer"])
    assert tokenizer.encoder == "tokenizers"
    assert tokenizer.encoder_reason.startswith("gigatoken does not know this vocabulary: Unknown pre_tokenizer")
    column = pa.array(["12345 abc"] * 20_000)
    assert tokenizer.encode_column(column).ids[:3].tolist() == tokenizer.encode("12345 abc")[:3]


ADDED = {"id": 500, "content": "<th>", "special": False, "lstrip": False, "rstrip": False, "single_word": False}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"added": {"rstrip": True, "normalized": False}}, "rstrip or single_word"),
        ({"added": {"single_word": True, "normalized": False}}, "rstrip or single_word"),
        ({"added": {"normalized": True}, "normalizer": {"type": "NFC"}}, "looked for in normalized text"),
        ({"normalizer": {"type": "NFKC"}}, "no parity test covers the normalizer NFKC"),
    ],
)
def test_what_was_seen_to_differ_is_left_to_the_reference(changes, reason):
    tokenizer = BY_SPLIT["gpt2"]
    listed = json.loads(tokenizer.files[VOCABULARY_FILE])["added_tokens"]
    added = [*listed, ADDED | changes["added"]] if "added" in changes else listed
    changed = opened(tokenizer, added_tokens=added, normalizer=changes.get("normalizer"))
    assert changed.encoder == "tokenizers"
    assert reason in changed.encoder_reason


@settings(max_examples=50)
@given(batch=texts)
def test_added_tokens_that_are_no_special_ones_are_found_by_both(batch):
    listed = json.loads(BY_SPLIT["qwen2"].files[VOCABULARY_FILE])["added_tokens"]
    added = [*listed, ADDED | {"normalized": False}]
    tokenizer = opened(BY_SPLIT["qwen2"], added_tokens=added, normalizer={"type": "NFC"})
    assert 500 in tokenizer.encode("a<th>b")
    assert_equal(encoder_of(tokenizer), [f"{text}<th>{text}" for text in batch])


def test_a_missing_package_is_a_reason(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(fast, "version", version)
    tokenizer = learn_tokenizer(["plain"], size=280)
    assert (tokenizer.encoder, tokenizer.encoder_reason) == (
        "tokenizers",
        "gigatoken is not installed (pip install 'whorl[fast]')",
    )
    assert tokenizer.encode_column(pa.array(["plain"] * 20_000)).ids.tolist() == tokenizer.encode("plain") * 20_000


def test_another_version_is_a_reason(monkeypatch):
    monkeypatch.setattr(fast, "version", lambda name: "0.11.0")
    assert learn_tokenizer(["plain"], size=280).encoder_reason == (
        "gigatoken 0.11.0 is installed; ids were compared with 0.10.0 only"
    )


def test_the_battery_finds_a_wrong_split(monkeypatch):
    monkeypatch.setitem(
        vars(fast), "_RESPELLED", {SPLITS["qwen2"]: fast._Respelling(SPLITS["gpt2"])}
    )  # as if gigatoken took one split for another
    found = fast.find_encoder(Vocabulary.parse(BY_SPLIT["qwen2"].files[VOCABULARY_FILE], ""), BY_SPLIT["qwen2"]._reader)
    assert found.fast is None
    assert found.reason.startswith("gigatoken gives other ids than tokenizers, first for '")


def test_the_pinned_version_is_the_one_that_the_project_asks_for():
    asked = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"gigatoken=={fast._TESTED_VERSION}"' in asked

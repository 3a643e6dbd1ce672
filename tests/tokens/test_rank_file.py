"""A rank file read here gives tiktoken's ids. What tiktoken said is kept in tests/golden/tokens/tiktoken.json."""

import base64
import json
from pathlib import Path

import pytest
from bench.peers import ask_peer, peer_python

from whorl.core.errors import DataError
from whorl.tokens.foreign import Names, bring_in, read_tiktoken
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.rank_file import read_ranks
from whorl.tokens.splits import SPLITS
from whorl.tokens.tokenizer import SPECIALS, VOCABULARY_FILE
from whorl.tokens.vocabulary import as_bytes

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "tokens" / "tiktoken.json"
REQUIREMENTS = ("tiktoken==0.14.0",)

TEXTS = [
    "The whorl's 12345 turns; it'll stop, won't it? WE'RE DONE. I'D'VE",
    "ends in line \n",
    "ends in lines \n\n\t ",
    "\n \n  \n\n",
    "  begins\twith \r\n\r\n white space  ",
    "'\u017f '\u017fa 's'S're'Re'RE'LL",
    "CamelCase HTTPServer aB/b//c \u01c5 \u00e9t\u00e9 e\u0301 \u0661\u0662\u0663\u0664",
    "\u6771\u4eac \U0001f9f6 na\u00efve \u0645\u0631\u062d\u0628\u0627 \u00a0\u2028\u3000x",
    "aaaaaaa abababab " * 9,
    "<|end|>",
    "\x00\x7f\ufeff\uffff",
    "",
]


def ranks():
    """A small vocabulary as tiktoken counts it: bytes first, then what was learnt, in order."""
    learnt = learn_tokenizer([*TEXTS[:9], "the turns of the whorl"] * 3, size=500, split="gpt2")
    vocab = json.loads(learnt.files[VOCABULARY_FILE])["model"]["vocab"]
    pieces = [as_bytes(piece) for piece in sorted(vocab, key=vocab.get) if piece not in SPECIALS]
    return {piece: number for number, piece in enumerate(pieces)}


def write(path, ranks):
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()))
    return path


def opened(path, split, **special):
    source = read_tiktoken(path, pattern=SPLITS[split], special={"<|endoftext|>": 600, **special})
    return bring_in(source, Names(bos="<|endoftext|>", end="<|endoftext|>", roles={}), "here").tokenizer


@pytest.mark.parametrize("split", ["gpt2", "cl100k", "o200k"])
def test_ids_equal_what_tiktoken_was_recorded_to_give(tmp_path, split):
    recorded = json.loads(GOLDEN.read_text())
    tokenizer = opened(write(tmp_path / "small.tiktoken", {base64.b64decode(t): r for t, r in recorded["ranks"]}), split)
    assert [tokenizer.encode(text) for text in recorded["texts"]] == recorded["ids"][split]
    assert tokenizer.encoder == "gigatoken"
    assert tokenizer.lossless


def test_the_recorded_splits_differ_where_they_should():
    ids = json.loads(GOLDEN.read_text())["ids"]
    assert ids["gpt2"] != ids["cl100k"] != ids["o200k"]


@pytest.mark.parity
def test_tiktoken_still_gives_the_recorded_ids():
    """Writes what the peer says when nothing is recorded; to record anew, delete tests/golden/tokens/tiktoken.json."""
    python = peer_python("tiktoken", REQUIREMENTS)
    assert python is not None, "tiktoken cannot be installed"
    listed = [[base64.b64encode(token).decode(), rank] for token, rank in ranks().items()]
    question = {"ranks": listed, "texts": TEXTS}
    said = ask_peer(python, Path(__file__).with_name("tiktoken_oracle.py"), question)
    if not GOLDEN.is_file():
        GOLDEN.write_text(json.dumps(question | said, indent=1) + "\n")
    assert json.loads(GOLDEN.read_text()) == question | said


def test_special_ids_stay_where_the_encoding_has_them_and_added_ones_follow(tmp_path):
    table = ranks()
    tokenizer = opened(write(tmp_path / "a.tiktoken", table), "cl100k")
    assert tokenizer.bos == tokenizer.end == 600
    assert tokenizer.pad == 601
    assert tokenizer.size == 606
    assert tokenizer.decode([600, 601, 605]) == "<|endoftext|><|pad|><|tool|>"
    assert 600 not in tokenizer.encode("a<|endoftext|>b")
    with pytest.raises(DataError, match=f"id {len(table)} is outside the vocabulary"):
        tokenizer.decode([len(table)])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"AA== 0\nnot a line at all\n", r"here:2: not a line of a tiktoken vocabulary"),
        (b"AA== 0\n\n*** 1\n", r"here:3: not a line"),
        (b"AA== zero\n", r"here:1: not a line"),
        (b"AA== 0\nAQ== 0\n", "a rank is negative or given twice"),
        (b"AA== -1\n", "a rank is negative or given twice"),
        (b"AA== 0\nAQ== 1\n", r"254 of 256 single bytes have no rank \(first: 0x02\)"),
        (b"", "256 of 256 single bytes have no rank"),
    ],
)
def test_what_is_no_rank_file_is_an_error(content, complaint):
    with pytest.raises(DataError, match=complaint):
        read_ranks(content, "here")


@pytest.mark.parametrize(
    ("special", "complaint"),
    [({"<|a|>": 5}, "share ids"), ({"<|a|>": 700, "<|b|>": 700}, "share ids"), ({"a": 700}, "also an ordinary token")],
)
def test_special_tokens_that_clash_are_an_error(tmp_path, special, complaint):
    path = write(tmp_path / "a.tiktoken", {bytes([byte]): byte for byte in range(256)})
    with pytest.raises(DataError, match=complaint):
        opened(path, "gpt2", **special)

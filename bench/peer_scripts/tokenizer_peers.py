"""bench/peer_scripts/tokenizer_peers: learn or encode by tokenizers, tiktoken, gigatoken and sentencepiece.

One JSON object on standard input, one as the last line of standard output: CPU-seconds of one process and one thread, with what
`bench/tokenizers` needs to compare. Not called like the bench: a script named tokenizers would hide the package from itself.
"""

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gigatoken
import numpy as np
import sentencepiece  # type: ignore[import-not-found]
import tiktoken
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

TEXTS_AT_ONCE = 1024
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """CPU-seconds, and what the work gave."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def digest(lists: Sequence[Sequence[int]]) -> str:
    """Of every id and the length of every text."""
    ids = np.concatenate([np.asarray(ids, dtype="<u4") for ids in lists])
    lengths = np.array([len(ids) for ids in lists], dtype="<u4")
    return hashlib.sha256(ids.tobytes() + lengths.tobytes()).hexdigest()


def chunks(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    """As many texts at once as the bench gives to ours."""
    return (texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE))


def by_tokenizers(texts: Sequence[str], vocabulary: Mapping[str, Any]) -> list[list[int]]:
    """Special tokens spelled in a text stay text, as with ours."""
    library = tokenizers.Tokenizer.from_str(json.dumps(vocabulary))
    library.encode_special_tokens = True
    batches = (library.encode_batch_fast(some, add_special_tokens=False) for some in chunks(texts))
    return [encoding.ids for batch in batches for encoding in batch]


def ranks(vocabulary: Mapping[str, Any]) -> dict[bytes, int]:
    """The vocabulary as tiktoken wants it."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    byte_of = {chr(byte): byte for byte in shown} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}
    special = {token["content"] for token in vocabulary["added_tokens"]}
    pieces = vocabulary["model"]["vocab"].items()
    return {bytes(byte_of[letter] for letter in piece): number for piece, number in pieces if piece not in special}


def bare(vocabulary: Mapping[str, Any], pattern: str) -> str:
    """The vocabulary with its split as gigatoken knows it, and without special tokens, which no text may hold."""
    split, level = vocabulary["pre_tokenizer"]["pretokenizers"]
    steps = [{**split, "pattern": {"Regex": pattern}}, level]
    pre = {**vocabulary["pre_tokenizer"], "pretokenizers": steps}
    return json.dumps({**vocabulary, "added_tokens": [], "post_processor": None, "pre_tokenizer": pre})


def encoded(asked: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """Seconds and digest of ids by peer; every peer is opened anew and only gigatoken is timed twice."""
    vocabulary = json.loads(Path(asked["vocabulary"]).read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    seconds, lists = timed(lambda: by_tokenizers(texts, vocabulary))
    opening, _ = timed(lambda: by_tokenizers([], vocabulary))
    found["tokenizers"] = [seconds - opening, digest(lists)]
    peer = tiktoken.Encoding("x", pat_str=asked["tiktoken"], mergeable_ranks=ranks(vocabulary), special_tokens={})
    batches: Any
    seconds, batches = timed(lambda: [peer.encode_ordinary_batch(list(some), num_threads=1) for some in chunks(texts)])
    found["tiktoken"] = [seconds, digest([ids for batch in batches for ids in batch])]
    fast = gigatoken.Tokenizer.from_json(bare(vocabulary, asked["gigatoken"]))
    for name in ("gigatoken", "gigatoken_again"):
        seconds, batches = timed(lambda: [fast.encode_batch(list(some), parallel=False) for some in chunks(texts)])
        rows: list[Any] = [np.asarray(ids) for batch in batches for ids in batch]
        found[name] = [seconds, digest(rows)]
    return {"encoded": found}


def by_trainer(kind: str, texts: Sequence[str], size: int, pattern: str) -> Any:
    """The library's own learner of each kind, on bytes, as its documentation shows."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain: dict[str, Any] = {"vocab_size": size, "show_progress": False, "initial_alphabet": alphabet}
    model, trainer = {
        "bpe": (models.BPE(), trainers.BpeTrainer(min_frequency=2, **plain)),
        "wordpiece": (models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(special_tokens=["[UNK]"], **plain)),
        "unigram": (models.Unigram(), trainers.UnigramTrainer(**plain)),
    }[kind]
    backend = tokenizers.Tokenizer(model)
    split = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(texts, trainer)
    return backend


def by_sentencepiece(kind: str, texts: Sequence[str], size: int) -> Any:
    """It reads lines and throws line breaks away, so what it learns is not quite the same."""
    model = io.BytesIO()
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=size,
        model_type=kind,
        byte_fallback=True,
        num_threads=1,
        max_sentence_length=1 << 20,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def learnt(asked: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """By kind and peer: seconds, and how many tokens the texts become (0: not asked)."""
    size, pattern = asked["size"], asked["pattern"]
    found: dict[str, dict[str, Any]] = {"bpe": {}, "wordpiece": {}, "unigram": {}}
    for kind, peers in found.items():
        seconds, backend = timed(lambda kind=kind: by_trainer(kind, texts, size, pattern))  # type: ignore[misc]
        peers["tokenizers"] = [seconds, sum(len(encoding.ids) for encoding in backend.encode_batch_fast(texts))]
    for kind in ("bpe", "unigram"):
        seconds, model = timed(lambda kind=kind: by_sentencepiece(kind, texts, size))  # type: ignore[misc]
        found[kind]["sentencepiece"] = [seconds, 0]
        seconds, _ = timed(lambda model=model: model.encode(texts, num_threads=1))  # type: ignore[misc]
        found[kind]["sentencepiece_encoding"] = [seconds, 0]
    data = b"\xff".join(text.encode() for text in texts)  # a byte that is in no text
    num_pieces = size - asked["num_special"]
    seconds, (_, merges) = timed(lambda: gigatoken.train_bpe(data, num_pieces, [], separator=b"\xff"))
    found["bpe"]["gigatoken"] = [seconds, 0]
    said = json.dumps([[left.hex(), right.hex()] for left, right in merges])
    return {"learnt": found, "merges": hashlib.sha256(said.encode()).hexdigest()}


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    texts = json.loads(Path(asked["texts"]).read_text(encoding="utf-8"))
    spoken = os.dup(1)
    os.dup2(2, 1)  # a learner prints what it does; the answer goes to the real standard output
    answer = encoded(asked, texts) if asked["do"] == "encode" else learnt(asked, texts)
    os.write(spoken, (json.dumps(answer) + "\n").encode())


if __name__ == "__main__":
    main()

"""tokens/learn: a byte-level vocabulary from texts, as the four files of a tokenizer: BPE, WordPiece or Unigram.

Whatever the kind, the alphabet is all 256 bytes and nothing is normalised, so every string comes back as it was. The same
texts give the same files. Does not choose texts: the stage does. No pair, word or piece may occur 2^31 times in them, because
the library counts pairs in 32 bits; the stage bounds what it reads.
BPE for text: https://arxiv.org/abs/1508.07909; on bytes: https://arxiv.org/abs/1909.03341; Unigram: tokens/unigram. WordPiece
here, as in most libraries, chooses pieces by merging pairs and differs in how it encodes: longest piece first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend

from whorl.core.errors import UsageError
from whorl.tokens.hub import hub_files
from whorl.tokens.splits import SPLITS, Split
from whorl.tokens.tokenizer import BOS, END, MASK, PAD, ROLE_TOKENS, SPECIALS, Tokenizer
from whorl.tokens.unigram import learn_pieces
from whorl.tokens.vocabulary import BYTE_LETTERS, CONTINUES, as_letters

__all__ = ["MIN_SIZE", "Kind", "learn_tokenizer", "min_size"]

Kind = Literal["bpe", "wordpiece", "unigram"]

MIN_SIZE: Final = len(SPECIALS) + 256

_MIN_PAIRS = 2  # a merge seen once in the whole corpus spends an id on one place
_LONGEST_WORD = 64  # bytes that WordPiece reads as one word: longest piece first takes time by their square
_UNKNOWN = "<|unknown|>"  # the library wants a name for what cannot happen: every byte is a piece


def min_size(kind: Kind) -> int:
    """The fewest ids a vocabulary of this kind can have: special tokens and bytes, which WordPiece writes in two ways."""
    return MIN_SIZE + 256 if kind == "wordpiece" else MIN_SIZE


def learn_tokenizer(
    texts: Iterable[str], *, size: int, split: Split = "qwen2", kind: Kind = "bpe", mask: bool = False
) -> Tokenizer:
    """A tokenizer of `size` ids, or fewer when the texts support no more. Reads `texts` once.

    With `mask`, the last of these ids is `<|mask|>`; all others are those of a vocabulary learnt without it and one smaller.
    Memory grows with the number of distinct words, not with the text. Raises UsageError when `size` cannot hold the special
    tokens and the bytes.
    """
    if size < min_size(kind) + mask:
        raise UsageError(
            f"size={size}: want at least {min_size(kind) + mask} for {kind} ({len(SPECIALS) + mask} special tokens and bytes)"
        )
    backend = _LEARNERS[kind](texts, size - mask, split)
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    if mask:
        backend.add_special_tokens([AddedToken(MASK, special=True, normalized=False)])
    # Tools that encode a bare prompt get the <|bos|> every document was trained with; chats bring their own.
    backend.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, SPECIALS.index(BOS))])
    special = {token: number for number, token in enumerate(SPECIALS)}
    special |= {MASK: backend.get_vocab_size() - 1} if mask else {}
    frame = {"bos": BOS, "end": END, "pad": PAD}
    text = backend.to_str(pretty=True)
    return Tokenizer(hub_files(text, frame=frame, roles=ROLE_TOKENS, special=special, mask=MASK if mask else None))


def _bpe(texts: Iterable[str], size: int, split: Split) -> Backend:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = _words(split)
    backend.decoder = decoders.ByteLevel()
    specials = [AddedToken(token, special=True, normalized=False) for token in SPECIALS]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=_MIN_PAIRS,
        special_tokens=specials,
        initial_alphabet=sorted(BYTE_LETTERS),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer=trainer)
    return backend


def _wordpiece(texts: Iterable[str], size: int, split: Split) -> Backend:
    """Pieces that go on inside a word open with CONTINUES."""
    backend = Backend(models.WordPiece())
    backend.pre_tokenizer = _words(split)
    letters = sorted(BYTE_LETTERS)
    # As special tokens they get ids before any word is read. Left to itself, the library numbers them as words come out of a
    # hash map that is shuffled anew each time, and ties between pairs are broken by number.
    fixed = [*SPECIALS, *letters, *(CONTINUES + letter for letter in letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=_MIN_PAIRS,
        special_tokens=fixed,
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer=trainer)
    vocab = dict(sorted(backend.get_vocab().items(), key=lambda pair: pair[1]))
    model = models.WordPiece(
        vocab, unk_token=_UNKNOWN, max_input_chars_per_word=_LONGEST_WORD, continuing_subword_prefix=CONTINUES
    )
    whole = Backend(model)
    short = pre_tokenizers.Split(Regex(f".{{1,{_LONGEST_WORD}}}"), "isolated")  # letters of bytes: no line breaks
    whole.pre_tokenizer = pre_tokenizers.Sequence([_words(split), short])
    whole.decoder = decoders.Sequence([decoders.Replace(CONTINUES, ""), decoders.ByteLevel()])
    return whole


def _unigram(texts: Iterable[str], size: int, split: Split) -> Backend:
    cut = pre_tokenizers.Split(Regex(SPLITS[split]), "isolated")
    words = Counter(chain.from_iterable((word for word, _ in cut.pre_tokenize_str(text)) for text in texts))
    pieces = learn_pieces(words, size - len(SPECIALS))
    spelled = [(as_letters(piece.data), piece.score) for piece in pieces]
    backend = Backend(models.Unigram([*((token, 0.0) for token in SPECIALS), *spelled], unk_id=None, byte_fallback=False))
    backend.pre_tokenizer = _words(split)
    backend.decoder = decoders.ByteLevel()
    return backend


_LEARNERS: Final[Mapping[Kind, Callable[[Iterable[str], int, Split], Backend]]] = MappingProxyType(
    {"bpe": _bpe, "wordpiece": _wordpiece, "unigram": _unigram}
)
assert tuple(_LEARNERS) == get_args(Kind), "a kind has a name and a learner"


def _words(split: Split) -> Any:  # noqa: ANN401 - the library has no stubs
    """Cut into words, and write each byte as a letter."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS[split]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )

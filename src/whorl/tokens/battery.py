"""tokens/battery: strings on which tokenizers have been seen to disagree, and samples of a vocabulary's own pieces.

Small enough to try whenever a vocabulary is opened. A battery cannot prove two encoders equal; it catches a wrong split, a
wrong merge table or a special token read from text at once, and the parity tests do the rest.
"""

from typing import Final

from whorl.tokens.vocabulary import Vocabulary, as_bytes

__all__ = ["NASTY", "battery"]

NASTY: Final = (
    "",
    " ",
    "  ",
    "\x00",
    "a\x00b\x00\x00",
    "The whorl's 12345 turns; it'll stop, won't it? WE'RE DONE. I'D'VE",
    "'\u017f '\u212a 's'S'\u017f''re'Re'RE",
    "tabs\tand\t\ttabs, lines\n\n\r\n\rend \n \n  \n",
    "ends in space ",
    "ends in line \n",
    "ends in lines \n\n\t ",
    "   begins with space",
    "CamelCaseWords HTTPServer aB Ab ABc",
    "1 12 123 1234 12345 3.14 1,000,000 \u0661\u0662\u0663\u0664 \u00b2\u00bd\u2167",
    "a/b//c https://example.org/a?b=c#d ... --- === <a href='x'>",
    "<|endoftext|> <|end|> <s></s> [CLS] [SEP] <unk> <pad> <|im_start|>user",
    "na\u00efve d\u00e9j\u00e0 vu e\u0301te\u0301 \u1e9e \u01c5 \ufb01 \u0130\u0131",
    "\u6771\u4eac\u90fd \u3053\u3093\u306b\u3061\u306f \ud55c\uad6d\uc5b4 \uff11\uff12",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\U0001f9f6 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 \u2764\ufe0f \U0001fae8",
    "\u00a0\u2003\u2028\u2029\u3000\u1680\u0085\u200b\ufeff",
    "\ue000\uf8ff\ufdd0\ufffe\uffff\U0010ffff\ufffd",
    "\u2581\u2581a \u0120b \u010a",
    "\u088f\u0c5c\ua7ce\U00016ea0\U0001fbfa\U000323b0",  # letters of Unicode 16 and 17
    "a" * 5000,
    "^" * 5000,
    " " * 3000 + "x",
    "\n" * 3000,
    "ab" * 2000,
    "\u00e9\u0301" * 1000,
    "0123456789" * 300,
)

_SAMPLED: Final = 2000  # pieces of the vocabulary, spread over its ids
_TOGETHER: Final = 40


def battery(vocabulary: Vocabulary) -> list[str]:
    """Texts to try: the nasty ones, every added token in and out of words, and pieces of the vocabulary side by side."""
    added = [token["content"] for token in vocabulary.added][:_SAMPLED]
    return [*NASTY, *added, *(f"a{token}b {token} \n{token}{token}" for token in added), *_samples(vocabulary)]


def _samples(vocabulary: Vocabulary) -> list[str]:
    pieces = sorted(vocabulary.pieces, key=lambda piece: (vocabulary.pieces[piece], piece))
    sampled = [_spelled(piece) for piece in pieces[:: max(1, len(pieces) // _SAMPLED)]]
    return ["".join(sampled[start : start + _TOGETHER]) for start in range(0, len(sampled), _TOGETHER)]


def _spelled(piece: str) -> str:
    data = as_bytes(piece)
    return piece.replace("\u2581", " ") if data is None else data.decode("utf-8", errors="replace")

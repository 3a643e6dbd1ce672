r"""tokens/splits: where a text may be cut into words before any vocabulary is learnt or used, by name.

Each pattern is spelled for the regex engine of `tokenizers` and cuts every string as the published one does: `qwen2` as in
llama.cpp, `gpt2`, `cl100k` and `o200k` as in tiktoken, `llama3` as in that model's tokenizer.json. Two spellings differ from
print: possessive `{1,3}+` would mean another thing to this engine, and its `$` also matches before a line break, so that the
end of a text is `\z`. Does not cut anything itself.
"""

from typing import Final, Literal, get_args

__all__ = ["SPLITS", "Split"]

Split = Literal["qwen2", "gpt2", "cl100k", "llama3", "o200k"]

_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"

SPLITS: Final[dict[Split, str]] = {
    # Case is spelled out where the published tokenizer writes (?i:...): llama.cpp does too, and the two differ on U+017F.
    "qwen2": r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # Unlike llama3, white space that ends a text is one word even where it holds a line break.
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s+\z|\s*[\r\n]|\s+(?!\S)|\s",
    "llama3": _ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _ENDINGS + "?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _ENDINGS + "?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
assert tuple(SPLITS) == get_args(Split), "a split has a name and a pattern"

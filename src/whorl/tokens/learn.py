"""tokens/learn: a byte-level BPE vocabulary from texts, as the four files of a tokenizer.

The split is the one llama.cpp knows as `qwen2`, the alphabet is all 256 bytes and nothing is normalised, so every string
comes back as it was. The same texts give the same files. Does not choose texts: the stage does.
BPE for text: https://arxiv.org/abs/1508.07909; on bytes: https://arxiv.org/abs/1909.03341.
"""

import json
from collections.abc import Iterable
from typing import Final, Literal, get_args

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend

from whorl.core.errors import UsageError
from whorl.tokens.renderer import TEMPLATE
from whorl.tokens.tokenizer import BOS, END, FILES, PAD, ROLE_TOKENS, SPECIALS, Tokenizer

__all__ = ["MIN_SIZE", "SPLITS", "Split", "learn_tokenizer"]

Split = Literal["qwen2"]

# Case is spelled out where the published tokenizer writes (?i:...): llama.cpp does too, and the two differ on U+017F.
SPLITS: Final[dict[Split, str]] = {
    "qwen2": r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
assert tuple(SPLITS) == get_args(Split), "a split has a name and a pattern"

MIN_SIZE: Final = len(SPECIALS) + 256

_MIN_PAIRS = 2  # a merge seen once in the whole corpus spends an id on one place


def learn_tokenizer(texts: Iterable[str], *, size: int, split: Split = "qwen2") -> Tokenizer:
    """A tokenizer of `size` ids, or fewer when no pair of tokens is left that occurs twice. Reads `texts` once.

    Memory grows with the number of distinct words, not with the text. Raises UsageError when `size` cannot hold the special
    tokens and the bytes.
    """
    if size < MIN_SIZE:
        raise UsageError(f"size={size}: want at least {MIN_SIZE} ({len(SPECIALS)} special tokens and 256 bytes)")
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS[split]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    specials = [AddedToken(token, special=True, normalized=False) for token in SPECIALS]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=_MIN_PAIRS,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer=trainer)
    # Tools that encode a bare prompt get the <|bos|> every document was trained with; chats bring their own.
    backend.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, SPECIALS.index(BOS))])
    return Tokenizer(_files(backend))


def _files(backend: Backend) -> dict[str, str]:
    names = {"bos_token": BOS, "eos_token": END, "pad_token": PAD}
    roles = {"additional_special_tokens": list(ROLE_TOKENS.values())}
    config = {
        "added_tokens_decoder": {str(number): _added(token) for number, token in enumerate(SPECIALS)},
        **names,
        **roles,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    texts = (backend.to_str(pretty=True), _json(config), _json(names | roles), TEMPLATE)
    return dict(zip(FILES, texts, strict=True))


def _added(token: str) -> dict[str, object]:
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": token, **flags, "special": True}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"

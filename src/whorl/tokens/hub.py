"""tokens/hub: the files beside tokenizer.json, so that Hugging Face tools frame documents and turns as the house does.

Does not write them to disk (tokens/tokenizer does).
"""

import json
from collections.abc import Mapping
from typing import Final

from whorl.tokens.renderer import template
from whorl.tokens.tokenizer import FILES, ROLE_TOKENS

__all__ = ["document_frame", "hub_files"]

_PUBLIC: Final = {"bos": "bos_token", "end": "eos_token", "pad": "pad_token"}


def hub_files(
    vocabulary: str,
    *,
    frame: Mapping[str, str],
    roles: Mapping[str, str],
    special: Mapping[str, int],
    mask: str | None = None,
) -> dict[str, str]:
    """The four files of a tokenizer by name. `frame` names bos, end and pad; `special` is every special token with its id.

    With a `mask`, other tools learn what opens, parts and hides for an encoder: there are no tokens for that alone.
    """
    names = {_PUBLIC[name]: token for name, token in frame.items()}
    if mask is not None:
        names |= {"cls_token": frame["bos"], "sep_token": frame["end"], "mask_token": mask}
    listed = {"additional_special_tokens": list(roles.values())}
    said = {} if roles == ROLE_TOKENS else {"role_tokens": dict(roles)}
    config = {
        "added_tokens_decoder": {str(number): _added(token) for token, number in special.items()},
        **names,
        **listed,
        **said,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    texts = (vocabulary, _json(config), _json(names | listed), template(frame["end"], roles))
    return dict(zip(FILES, texts, strict=True))


def document_frame(frame: Mapping[str, str], special: Mapping[str, int]) -> dict[str, object]:
    """The post-processor of a tokenizer.json that opens a bare prompt as every document was opened in training.

    Two texts are two documents; so the end token is part of the file, and of its fingerprint, too.
    """
    bos, end = frame["bos"], frame["end"]
    text = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    opens, closes = ({"SpecialToken": {"id": token, "type_id": 0}} for token in (bos, end))
    return {
        "type": "TemplateProcessing",
        "single": [opens, text[0]],
        "pair": [opens, text[0], closes, opens, text[1]],
        "special_tokens": {token: {"id": token, "ids": [special[token]], "tokens": [token]} for token in sorted({bos, end})},
    }


def _added(token: str) -> dict[str, object]:
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": token, **flags, "special": True}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"

"""Runs in an environment with tiktoken: its ids for a rank file under its own three patterns. JSON in and out."""

import base64
import json
import sys
from unittest.mock import patch

import tiktoken
from tiktoken_ext import openai_public

ENCODINGS = {"gpt2": "r50k_base", "cl100k": "cl100k_base", "o200k": "o200k_base"}


def pattern(name):
    """What the package splits by; the vocabulary itself would be downloaded, so none is asked for."""
    with patch.object(openai_public, "load_tiktoken_bpe", return_value={}):
        return getattr(openai_public, name)()["pat_str"]


def main():
    asked = json.load(sys.stdin)
    ranks = {base64.b64decode(token): rank for token, rank in asked["ranks"]}
    ids = {}
    for split, name in ENCODINGS.items():
        peer = tiktoken.Encoding(split, pat_str=pattern(name), mergeable_ranks=ranks, special_tokens={})
        ids[split] = [peer.encode_ordinary(text) for text in asked["texts"]]
    sys.stdout.write(json.dumps({"ids": ids, "versions": {"tiktoken": tiktoken.__version__}}) + "\n")


if __name__ == "__main__":
    main()

"""bench/peer_scripts/gguf_llama_cpp: what llama.cpp makes of a GGUF file: greedy ids, ids of texts, chats as it renders them.

Runs in an environment with xllamacpp, whose server is in the process. Keys and values in float32, no flash attention, one
request at a time and no prompt kept from the one before: the plainest arithmetic it has. A JSON object comes in on standard
input and goes out as the last line.
"""

import json
import sys
import urllib.request
from importlib.metadata import version
from typing import Any

import xllamacpp


def served(file: str, context: int, threads: int) -> xllamacpp.Server:
    """The file, opened."""
    settings = xllamacpp.CommonParams()
    settings.model.path = file
    settings.n_ctx, settings.n_parallel, settings.warmup = context, 1, False
    settings.verbosity = -1  # nothing but errors
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(settings)


def told(server: xllamacpp.Server, path: str, said: dict[str, Any]) -> dict[str, Any]:
    """What it answers."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.listening_address + path, json.dumps(said).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return dict(json.load(answer))


def greedy(server: xllamacpp.Server, prompt: list[int], max_tokens: int, *, ignore_eos: bool) -> list[int]:
    """Ids of an answer, the end token left out."""
    asked = {"prompt": prompt, "n_predict": max_tokens, "ignore_eos": ignore_eos, "temperature": 0, "samplers": ["temperature"]}
    return list(told(server, "/completion", {**asked, "return_tokens": True, "cache_prompt": False})["tokens"])


def tokenized(server: xllamacpp.Server, text: str, *, has_markup: bool) -> list[int]:
    """Ids of a text; with markup, opened as a document, and special tokens are what they spell."""
    return list(told(server, "/tokenize", {"content": text, "add_special": has_markup, "parse_special": has_markup})["tokens"])


def main() -> None:
    """Answer one question."""
    ask = json.load(sys.stdin)
    server = served(ask["file"], ask["context"], ask.get("threads", 1))
    rendered = [told(server, "/apply-template", {"messages": chat})["prompt"] for chat in ask.get("chats", ())]
    answer = {
        "greedy": [
            greedy(server, prompt, ask["max_tokens"], ignore_eos=ask.get("ignore_eos", False))
            for prompt in ask.get("prompts", ())
        ],
        "texts": [tokenized(server, text, has_markup=False) for text in ask.get("texts", ())],
        "chats": [tokenized(server, text, has_markup=True) for text in rendered],
        "version": f"xllamacpp {version('xllamacpp')}",
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

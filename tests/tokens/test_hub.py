"""The four files mean to Hugging Face tools what they mean here. The peer's answers are kept in tests/golden/tokens."""

import json
import subprocess
from pathlib import Path

import pytest

from whorl.core.records import Message
from whorl.tokens.renderer import Renderer
from whorl.tokens.tokenizer import VOCABULARY_FILE, Tokenizer

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "tokens"
PEER = ROOT / ".venv-bench-hf" / "bin" / "python"

TEXTS = [
    "The whorl turns; it's 1234 o'clock.\n\n    return x\r\n",
    "  leading, trailing  \t\n",
    "e\u0301 is not \u00e9; \u017f isn't s: '\u017f",
    "\u6771\u4eac \U0001f9f6 na\u00efve \u0645\u0631\u062d\u0628\u0627",
    "",
    "\x00\x7f\u00a0\u2028\ufffd",
]
CONVERSATIONS = [
    [("user", "hello")],
    [("system", " be brief\n"), ("user", "two\n\nlines "), ("assistant", "\nok  ")],
    [("user", ""), ("assistant", ""), ("tool", '{"a": [1]}'), ("assistant", "done"), ("user", "\u6771\u4eac?")],
]
# The families a checkpoint is written for; the peer picks its class by model_type and then by tokenizer_class.
MODEL_TYPES = (None, "llama", "qwen3")


def ours(folder):
    tokenizer = Tokenizer.load(folder)
    renderer = Renderer(tokenizer)
    conversations = [[Message(*turn) for turn in turns] for turns in CONVERSATIONS]
    ids = [tokenizer.encode(text) for text in TEXTS]
    return {
        "ids": ids,
        "decoded": TEXTS,
        "bare_prompts": [[tokenizer.bos, *one] for one in ids],
        "conversations": [renderer.render(messages).ids for messages in conversations],
        "prompts": [renderer.prompt(messages) for messages in conversations if messages[-1].role != "assistant"],
        "specials": [tokenizer.bos, tokenizer.end, tokenizer.pad],
        "size": tokenizer.size,
    }


def test_ids_equal_what_the_peer_was_recorded_to_give():
    recorded = json.loads((GOLDEN / "hub.json").read_text())
    assert ours(GOLDEN / "tokenizer") == recorded["peer"]


def test_the_recorded_text_still_gives_the_recorded_vocabulary(tokenizer):
    recorded = Tokenizer.load(GOLDEN / "tokenizer")
    for name in tokenizer.files:
        if name == VOCABULARY_FILE:
            assert json.loads(tokenizer.files[name])["model"] == json.loads(recorded.files[name])["model"]
        else:
            assert tokenizer.files[name] == recorded.files[name]


@pytest.mark.parity
def test_the_peer_gives_our_ids_for_every_family(tokenizer, tmp_path):
    """Writes what the peer says when nothing is recorded; to record anew, delete tests/golden/tokens."""
    assert PEER.is_file(), f"no peer: python3.11 -m venv {PEER.parents[1]}, then pip install torch==2.13.0 transformers in it"
    if not (GOLDEN / "hub.json").is_file():
        tokenizer.save(GOLDEN / "tokenizer")
    folders = {}
    for model_type in MODEL_TYPES:
        folder = tmp_path / f"model-{model_type}"
        Tokenizer.load(GOLDEN / "tokenizer").save(folder)
        if model_type:
            (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": tokenizer.size}))
        folders[str(model_type)] = str(folder)
    messages = [[{"role": role, "content": content} for role, content in turns] for turns in CONVERSATIONS]
    (tmp_path / "ask.json").write_text(json.dumps({"folders": folders, "texts": TEXTS, "conversations": messages}))
    command = [
        str(PEER),
        str(Path(__file__).with_name("hub_oracle.py")),
        str(tmp_path / "ask.json"),
        str(tmp_path / "said.json"),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads((tmp_path / "said.json").read_text())
    for model_type, answer in said["answers"].items():
        assert answer == ours(GOLDEN / "tokenizer"), model_type
    record = {"versions": said["versions"], "peer": said["answers"]["None"]}
    if not (GOLDEN / "hub.json").is_file():
        (GOLDEN / "hub.json").write_text(json.dumps(record, indent=1) + "\n")
    assert json.loads((GOLDEN / "hub.json").read_text())["peer"] == record["peer"]

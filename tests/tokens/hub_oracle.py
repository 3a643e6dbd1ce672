"""Runs in an environment with transformers: what AutoTokenizer makes of a tokenizer folder. Usage: REQUEST.json ANSWER.json."""

import json
import sys
from pathlib import Path

import tokenizers
import transformers


def answers(folder, texts, conversations):
    peer = transformers.AutoTokenizer.from_pretrained(folder)
    prompts = [messages for messages in conversations if messages[-1]["role"] != "assistant"]
    return {
        "ids": [peer.encode(text, add_special_tokens=False) for text in texts],
        "decoded": [peer.decode(peer.encode(text, add_special_tokens=False)) for text in texts],
        "bare_prompts": [peer.encode(text) for text in texts],
        "conversations": [peer.apply_chat_template(messages)["input_ids"] for messages in conversations],
        "prompts": [peer.apply_chat_template(m, add_generation_prompt=True)["input_ids"] for m in prompts],
        "specials": [peer.bos_token_id, peer.eos_token_id, peer.pad_token_id],
        "size": len(peer),
    }


def main(request, answer):
    asked = json.loads(Path(request).read_text())
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    by_folder = {name: answers(folder, asked["texts"], asked["conversations"]) for name, folder in asked["folders"].items()}
    Path(answer).write_text(json.dumps({"versions": versions, "answers": by_folder}))


if __name__ == "__main__":
    main(*sys.argv[1:])

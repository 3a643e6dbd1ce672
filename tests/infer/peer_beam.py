"""Runs in an environment with transformers: its own beam search. Reads a JSON object from standard input, writes one as a line.

Answers hold ids up to and with the stop token, and the peer's own scores.
"""

import json
import sys

import torch
import transformers

EARLY = {"full": True, "unlikely": False, "impossible": "never"}


def answered(model, prompt, case):
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        num_beams=case["width"],
        do_sample=False,
        max_new_tokens=case["max_tokens"],
        num_return_sequences=case["n"],
        length_penalty=case["length_penalty"],
        early_stopping=EARLY[case["stops_when"]],
        eos_token_id=case["stop_ids"],
        pad_token_id=2,
        return_dict_in_generate=True,
        output_scores=True,
    )
    return {
        "ids": [ended(row[len(prompt) :].tolist(), set(case["stop_ids"])) for row in out.sequences],
        "scores": out.sequences_scores.tolist(),
    }


def ended(ids, stop_ids):
    """Without what pads it."""
    stop = next((place for place, token in enumerate(ids) if token in stop_ids), len(ids) - 1)
    return ids[: stop + 1]


def main():
    ask = json.load(sys.stdin)
    model = transformers.AutoModelForCausalLM.from_pretrained(ask["folder"], dtype=torch.float32, attn_implementation="eager")
    model.eval()
    cases = [{"case": case, "answers": [answered(model, prompt, case) for prompt in ask["prompts"]]} for case in ask["cases"]]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    sys.stdout.write(json.dumps({"weights": "tests/infer/conftest.py", "peer": versions, "cases": cases}) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

"""bench/gpu_1b: a LLaMA of 1.24 billion parameters on one GPU, beside HF Trainer with the same shape, ids and rows in bfloat16.

18 layers of 2,048, 16 query and 8 key heads of 128, feed-forward of 8,192, rows of 2,048 tokens, 16 rows a step in
micro-batches. `ratio` is against Trainer as it comes (bf16=True, SDPA, fused AdamW); Trainer with torch_compile=True is timed
beside it. Ours keeps documents in a row apart and never holds all logits; Trainer does neither. Bars: ratio 1.3, and 40 % of
the vendor's dense bfloat16 peak. The peer runs in a process of its own, with an interpreter that has transformers and
accelerate (`--peer-python`, else this one); without, there is no peer and the bench exits 1. Needs one GPU of 80 GB;
`--check` runs the same path on a CPU with a toy and measures nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.gpu_room import (
    TOY,
    Arm,
    Clocked,
    Marks,
    Room,
    attention_of,
    clocked,
    device_line,
    has_device,
    line,
    not_learnt,
    peak_of,
    room,
    shape_line,
    told,
    unmeasured,
)
from whorl.model.count import parameters
from whorl.model.families import Family
from whorl.model.peak import Peak
from whorl.tokens.shards import IDS_FILE

UNIT = "tokens a second"
MIN_RATIO, MIN_MFU = 1.3, 0.40
SCRIPT = Path(__file__).parent / "peer_scripts" / "gpu_trainer.py"
SHAPE = {"depth": 18, "width": 2048, "heads": 16, "kv_heads": 8, "head_dim": 128, "mlp_width": 8192, "zero_outputs": False}
LLAMA = Arm({"use": "llama", **SHAPE}, width=2048, rows=16, micro_rows=4, optimizer={"use": "adamw", "rate": 3e-4})
MARKS = Marks(steps=61, warm_up=11, stretch=10)
Answer = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, print the JSON line."""
    parser = argparse.ArgumentParser(description="1.2B on one GPU, beside HF Trainer")
    parser.add_argument("--check", action="store_true", help="a toy on the CPU; measures nothing")
    parser.add_argument("--micro-rows", type=int, default=LLAMA.micro_rows, help="rows at once in both arms")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with transformers and accelerate")
    asked = parser.parse_args(arguments)
    if not (asked.check or has_device()):
        return unmeasured("gpu_1b", UNIT)
    with tempfile.TemporaryDirectory() as name:
        found = room(Path(name), is_check=asked.check)
        arm = LLAMA.toy() if asked.check else replace(LLAMA, micro_rows=asked.micro_rows, backend=attention_of(found))
        marks = TOY if asked.check else MARKS
        print(f"{device_line(found.device)}\n{found.text}\n{shape_line(arm, found.vocab_size)}")
        peers = _peers(asked.peer_python, arm, found, marks)  # first, while nothing of ours is on the GPU
        arms = {"ours": clocked(arm, found, marks)}
        peak = peak_of(found)
        figures = {"arms": told(arms, peak), "peers": peers, "device": device_line(found.device), "text": found.text}
    missed = not_learnt(arms) + ([] if asked.check else _missed(arms["ours"], peers, peak))
    return line("gpu_1b", figures | _headline(arms["ours"], peers), missed, is_check=asked.check)


def _peers(python: str, arm: Arm, found: Room, marks: Marks) -> dict[str, Answer]:
    """What Trainer did, as it comes and compiled; each absent, with the end of its complaint printed, where it cannot run."""
    config = arm.config(found.vocab_size)
    question = {
        "config": Family.find(str(arm.family["use"]), frozenset()).to_hub(config),
        "ids": str(found.folder / "train" / IDS_FILE),
        **{"width": arm.width, "rows": arm.rows, "micro_rows": arm.micro_rows, "rate": arm.optimizer["rate"]},
        **marks._asdict(),
    }
    answers = {}
    compiled = {} if found.device.type == "cpu" else {"trainer, compiled": True}  # minutes, for a toy
    for name, is_compiled in {"trainer": False, **compiled}.items():
        if answer := _asked(python, {**question, "is_compiled": is_compiled}, name):
            assert answer["parameters"] == parameters(config).total, "the peer has another shape"
            answers[name] = answer
    return answers


def _asked(python: str, question: dict[str, Any], name: str) -> Answer | None:
    done = subprocess.run([python, str(SCRIPT)], input=json.dumps(question), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: not run ({(done.stderr.strip().splitlines() or ['no reason given'])[-1]})")
        return None
    answer: Answer = json.loads(done.stdout.strip().splitlines()[-1])
    rates = answer.pop("rates")
    answer |= {"tokens_per_s": round(statistics.median(rates)), "spread": [round(min(rates)), round(max(rates))]}
    print(f"{name}: {json.dumps(answer)}")
    return answer


def _headline(ours: Clocked, peers: dict[str, Answer]) -> dict[str, Any]:
    rates = {name: peers[name]["tokens_per_s"] if name in peers else None for name in ("trainer", "trainer, compiled")}
    ratios = {name: rate and round(ours.rate / rate, 3) for name, rate in rates.items()}
    return {
        "ours": round(ours.rate),
        "peer": rates["trainer"],
        "ratio": ratios["trainer"],
        "ratio_to_compiled": ratios["trainer, compiled"],
        "unit": UNIT,
        "n": len(ours.rates),
        "spread": ours.spread,
        "peer_is": "HF Trainer, bf16, SDPA, fused AdamW, not compiled",
    }


def _missed(ours: Clocked, peers: dict[str, Answer], peak: Peak) -> list[str]:
    missed = []
    if "trainer" not in peers:
        missed.append("no peer: transformers and accelerate are not there, or failed")
    elif ours.rate / peers["trainer"]["tokens_per_s"] < MIN_RATIO:
        missed.append(f"ratio {ours.rate / peers['trainer']['tokens_per_s']:.2f} < {MIN_RATIO}")
    share = ours.rate * ours.flops_per_token / (peak.vendor_flops or peak.flops)
    if share < MIN_MFU:
        missed.append(f"MFU {share:.3f} < {MIN_MFU}")
    return missed


if __name__ == "__main__":
    sys.exit(main())

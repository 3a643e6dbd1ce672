"""bench/gpu_124m: GPT-2's smallest shape on one GPU: tokens a second and loss by step, beside a plain script on the same card.

12 layers of 768, rows of 1,024 tokens, 524,288 tokens a step: the setting of a public speed record whose plain-PyTorch script
logs 490,000 tokens a second on one H200 (torch 2.11, 2026); that figure is theirs and was not measured here. `ratio` is ours
against bench/plain_gpt, trained in the same run on the same rows by AdamW; ours keeps documents in a row apart, that one does
not. A third arm is whorl with Muon, as the record has it: its loss by step is printed beside theirs, but on other text. Needs
one GPU of 80 GB; `--check` runs the same path on a CPU with a toy and measures nothing. Exits 1 without a GPU.
"""

import argparse
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
from bench.plain_gpt import clocked_plain

UNIT = "tokens a second"
REFERENCE = 490_000  # one H200
REFERENCE_LOSS = {125: 4.586}  # the record's tuned Muon baseline, on FineWeb
GPT2 = Arm({"use": "gpt2", "depth": 12, "width": 768, "heads": 12}, width=1024, rows=512, micro_rows=32)
MUON = {"use": "muon", "rate": 0.02}
LONG, SHORT = Marks(steps=131, warm_up=11, stretch=20), Marks(steps=51, warm_up=11, stretch=10)
MAX_GAP = 0.2  # nats between ours and the plain script after as many steps: the same training but for the mask and the draws


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, print the JSON line."""
    parser = argparse.ArgumentParser(description="GPT-2 124M on one GPU")
    parser.add_argument("--check", action="store_true", help="a toy on the CPU; measures nothing")
    parser.add_argument("--micro-rows", type=int, default=GPT2.micro_rows, help="rows at once, fewer for smaller cards")
    asked = parser.parse_args(arguments)
    if not (asked.check or has_device()):
        return unmeasured("gpu_124m", UNIT)
    with tempfile.TemporaryDirectory() as name:
        found = room(Path(name), is_check=asked.check)
        arm = GPT2.toy() if asked.check else replace(GPT2, micro_rows=asked.micro_rows, backend=attention_of(found))
        long, short = (TOY, TOY) if asked.check else (LONG, SHORT)
        print(f"{device_line(found.device)}\n{found.text}\n{shape_line(arm, found.vocab_size)}")
        arms = {"plain": clocked_plain(arm, found, short), "ours": clocked(arm, found, short)}
        arms["ours, muon"] = clocked(replace(arm, optimizer=MUON), found, long)
        figures = {"arms": told(arms, peak_of(found)), "device": device_line(found.device), "text": found.text}
    missed = not_learnt(arms) + ([] if asked.check else _too_far(arms))
    return line("gpu_124m", figures | _headline(arms), missed, is_check=asked.check)


def _headline(arms: dict[str, Clocked]) -> dict[str, Any]:
    ours, plain, losses = arms["ours"], arms["plain"], arms["ours, muon"].losses
    by_step = {step: round(losses[step - 1], 4) for step in (1, 25, 50, 100, 125) if step <= len(losses)}
    print(f"loss by step with Muon: {by_step}; the record's, on FineWeb: {REFERENCE_LOSS}")
    return {
        "ours": round(ours.rate),
        "peer": round(plain.rate),
        "ratio": round(ours.rate / plain.rate, 3),
        "unit": UNIT,
        "n": len(ours.rates),
        "spread": ours.spread,
        "peer_is": "bench/plain_gpt on the same card, AdamW in both",
        "reference": {"tokens_per_s": REFERENCE, "of": "public plain-PyTorch log, one H200, torch 2.11; not measured here"},
        "ratio_to_reference": round(ours.rate / REFERENCE, 3),
        "loss_by_step_muon": by_step,
    }


def _too_far(arms: dict[str, Clocked]) -> list[str]:
    gap = abs(arms["ours"].losses[-1] - arms["plain"].losses[-1])
    return [f"ours and the plain script end {gap:.2f} nats apart"] if gap > MAX_GAP else []


if __name__ == "__main__":
    sys.exit(main())

"""bench/decode: tokens a second of decoding on two cores, whorl beside transformers' generate and a native llama.cpp.

Two models in bfloat16 (bench/decode_models): a random LLaMA of 169 M parameters, which no processor's own memory holds, and a
small one of the demo's shape, trained here for some seconds. Each arm is a process that answers when it is its turn and waits
on a pipe otherwise; turns go round, the same prompts for all and new ones in every round, and a ratio is the median over rounds
of our rate by the other's in that round. Starting, compiling and each arm's first answers are never timed.

One stream and eight equal ones: rates of decoding alone, after every stream has its first token. Uneven requests: 32, lengths
of prompts and answers drawn like the gaps of a Poisson process (exponential, cut), eight at once, prompts included; to
transformers in padded batches of eight in order of arrival, each until its longest is done, which is what `generate` can do;
the share of its tokens that anybody asked for is printed. Ours chooses with the engine's own sampler and computes every
log-probability; transformers takes the likeliest; of llama.cpp only llama_decode is timed. Peers run in the fastest of several
settings, tried here; transformers is not compiled.

`mbu` is the share of the measured roof at one stream: bytes of weights and cache a token needs, over the best of torch's
bfloat16 matrix-vector products and a plain read of as many bytes; `share_of` has it for each. Linears: the model's own
matrices, one token, ours beside the bare packed product. Equal tokens are counted and never required: where two bfloat16 logits
nearly tie, either may come first. Exits 1 when a bar or a peer is missed. `--check` does all of it at toy size and judges none.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.decode_models import CHECK, FULL, Examined, Sizes, demo, documents, exported, large
from bench.machine import machine
from bench.peer_scripts.decode_turns import Question
from bench.peers import TRANSFORMERS, ask_peer, peer_python
from bench.pretrain_cpu import SCRIPTS, THREADS, Arm, Running
from whorl.infer.roof import Roof, measured_roof

LLAMACPP = ("llamacpp", ("llama-cpp-python==0.3.36", "numpy", "gguf==0.19.0"))  # from its sources, for this processor
KINDS = ("one", "eight", "uneven")
HF_BARS = {"ratio": 1.3, "ratio_b8": 1.15, "ratio_uneven": 2.0}  # at both sizes
LARGE_BARS = {"ratio_llamacpp_b8": 0.8, "int8_share": 0.9, "int4_share": 0.9}
AIMS = {"ratio_llamacpp_b1": 0.9, "mbu": 0.65}
RATIOS = {
    "ratio": ("transformers", "one"),
    "ratio_b8": ("transformers", "eight"),
    "ratio_uneven": ("transformers", "uneven"),
    "ratio_llamacpp_b1": ("llama.cpp", "one"),
    "ratio_llamacpp_b8": ("llama.cpp", "eight"),
}


OURS = Arm("whorl", "whorl", "decode_ours.py", {"weights": "bf16"})
PACKED = tuple(Arm(f"whorl {weights}", "whorl", "decode_ours.py", {"weights": weights}) for weights in ("int8", "int4"))
HF = Arm("transformers", "transformers", "decode_hf.py", {})
LLAMA = Arm("llama.cpp", "llama.cpp", "decode_llamacpp.py", {})
ARMS: Mapping[str, tuple[Arm, ...]] = {"large": (OURS, *PACKED, HF, LLAMA), "demo": (OURS, HF, LLAMA)}
ASKED: Mapping[str, Sequence[str]] = {OURS.name: KINDS, HF.name: KINDS, LLAMA.name: ("one", "eight")}  # others: one stream


class Asked(Running):
    """An arm's process, asked in questions."""

    def ask(self, question: Question) -> dict[str, Any]:
        """What it said and how long that took."""
        self._send(json.dumps(question._asdict()))
        return self._answer()


def main() -> int:
    """Measure, print what was found, print the JSON line."""
    sizes = CHECK if "--check" in sys.argv else FULL
    pythons = {"whorl": Path(sys.executable), "transformers": peer_python(*TRANSFORMERS), "llama.cpp": peer_python(*LLAMACPP)}
    missing = [name for name, python in pythons.items() if python is None]
    if missing:
        print(json.dumps({"bench": "decode", "peer": None, "missed": [f"no {name}" for name in missing]}))
        return 1
    found = _measured(sizes, {name: python for name, python in pythons.items() if python is not None})
    missed = _missed(found) if sizes is FULL else []
    print(json.dumps(_line(found, sizes) | {"missed": missed}))
    return 1 if missed else 0


def _measured(sizes: Sizes, pythons: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Figures by model."""
    torch.set_num_threads(THREADS)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shop = documents(folder / "made", sizes)
        makers = (
            partial(large, folder / "large", sizes, vocabulary=shop.root / "vocab"),
            partial(demo, folder / "demo", sizes, shop),
        )
        for make in makers:
            model = make()
            gguf = exported(model, folder / f"{model.name}-gguf")
            taken = _turns(model, sizes, pythons, gguf)
            found[model.name] = _figures(taken, sizes, _roof(taken["facts"][OURS.name]["step_bytes"]))
            if model.name == "large":
                found[model.name] |= _linears(model, pythons["whorl"])
            _show(model.name, found[model.name])
    return found


def _turns(model: Examined, sizes: Sizes, pythons: Mapping[str, Path], gguf: Path) -> dict[str, Any]:
    """What every arm said in every round, by kind."""
    few = max(2, sizes.answer // 3)  # tokens of an answer that is not counted
    trials = [model.equal(sizes, rows=rows, number=-1)._replace(counts=[few] * rows)._asdict() for rows in (1, sizes.rows)]
    task = {
        "folder": str(model.folder),
        "gguf": str(gguf),
        "threads": THREADS,
        "rows": sizes.rows,
        "context": sizes.context,
        "mean_context": sizes.prompt + sizes.answer // 2,
        "trials": trials,
    }
    running = [Asked(arm, pythons[arm.group], task, gguf.parent / f"{arm.name}.log") for arm in ARMS[model.name]]
    said: dict[str, dict[str, list[dict[str, Any]]]] = {kind: {one.arm.name: [] for one in running} for kind in KINDS}
    asked: dict[str, list[Question]] = {kind: [] for kind in KINDS}
    for number in range(sizes.rounds):
        turn = number % len(running)
        for kind, question in _questions(model, sizes, number).items():
            asked[kind].append(question)
            for name, answer in _round(running[turn:] + running[:turn], kind, question):
                said[kind][name].append(answer)
    for one in running:
        one.end()
    return {"said": said, "asked": asked, "facts": {one.arm.name: one.facts for one in running}}


def _round(running: Sequence[Asked], kind: str, question: Question) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each arm that answers such questions says, one after the other."""
    for one in running:
        if kind in ASKED.get(one.arm.name, ("one",)):
            yield one.arm.name, one.ask(question)


def _questions(model: Examined, sizes: Sizes, number: int) -> dict[str, Question]:
    return {
        "one": model.equal(sizes, rows=1, number=number),
        "eight": model.equal(sizes, rows=sizes.rows, number=number),
        "uneven": model.uneven(sizes, number=number),
    }


def _rates(kind: str, said: Sequence[Mapping[str, Any]]) -> list[float]:
    """Tokens a second in each round: decoding alone, or for uneven requests all of it."""
    if kind == "uneven":
        return [sum(map(len, one["ids"])) / one["total_s"] for one in said]
    return [one["num_decoded"] / one["decode_s"] for one in said]


def _figures(taken: Mapping[str, Any], sizes: Sizes, roof: Roof) -> dict[str, Any]:
    """Rates, ratios, equal tokens and the share of the roof, of one model."""
    rates = {kind: {name: _rates(kind, each) for name, each in said.items() if each} for kind, said in taken["said"].items()}
    middle = {kind: {name: statistics.median(each) for name, each in by.items()} for kind, by in rates.items()}
    ratios = {
        name: [mine / its for mine, its in zip(rates[kind][OURS.name], rates[kind][peer], strict=True)]
        for name, (peer, kind) in RATIOS.items()
    }
    step_bytes = taken["facts"][OURS.name]["step_bytes"]
    return {
        **{name: round(statistics.median(each), 3) for name, each in ratios.items()},
        "spread": {name: _quartiles(each) for name, each in ratios.items()},
        "tokens_per_s": {kind: {name: round(rate, 1) for name, rate in by.items()} for kind, by in middle.items()},
        "prefill_tokens_per_s": {
            kind: {name: round(_prefill(each, sizes), 1) for name, each in taken["said"][kind].items() if each}
            for kind in ("one", "eight")
        },
        "b1_over_bf16": {name: round(rate / middle["one"][OURS.name], 2) for name, rate in middle["one"].items()},
        "b8_over_b1": {name: round(middle["eight"][name] / middle["one"][name], 2) for name in middle["eight"]},
        "mbu": round(step_bytes * middle["one"][OURS.name] / roof.bytes_per_s, 3),
        "share_of": {way: round(step_bytes * middle["one"][OURS.name] / rate, 3) for way, rate in roof.by_way.items()},
        "step_bytes": step_bytes,
        "roof_gb_per_s": {way: round(rate / 1e9, 2) for way, rate in roof.by_way.items()},
        "equal_tokens": _equal(taken["said"]),
        "useful_share_of_padded": _useful(taken["asked"]["uneven"][0]),
        "cpu_s_while_waiting": round(
            max(one["cpu_s_waiting"] for by in taken["said"].values() for each in by.values() for one in each), 3
        ),
        "facts": taken["facts"],
    }


def _prefill(said: Sequence[Mapping[str, Any]], sizes: Sizes) -> float:
    """Tokens of prompts a second, until every stream has its first token."""
    return statistics.median([len(one["ids"]) * sizes.prompt / float(one["first_s"]) for one in said])


def _equal(said: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> dict[str, dict[str, float]]:
    """Share of tokens that an arm and ours chose alike, place by place; after a first difference most differ."""
    shares: dict[str, dict[str, float]] = {}
    for kind, by in said.items():
        ours = [token for one in by[OURS.name] for row in one["ids"] for token in row]
        for name, each in by.items():
            theirs = [token for one in each for row in one["ids"] for token in row]
            if theirs and name != OURS.name:
                shares.setdefault(kind, {})[name] = round(
                    statistics.fmean(a == b for a, b in zip(ours, theirs, strict=True)), 3
                )
    return shares


def _useful(question: Question) -> float:
    """Of the tokens that padded batches say, the share that was asked for."""
    batches = [question.counts[start : start + question.rows] for start in range(0, len(question.counts), question.rows)]
    return round(sum(question.counts) / sum(len(batch) * max(batch) for batch in batches), 3)


def _quartiles(values: Sequence[float]) -> list[float]:
    low, _, high = statistics.quantiles(values, n=4)
    return [round(low, 3), round(high, 3)]


def _roof(num_bytes: int) -> Roof:
    """Of as many bytes as a token needs."""
    return measured_roof(torch.device("cpu"), torch.bfloat16, num_bytes=num_bytes, budget_s=3.0)


def _linears(model: Examined, python: Path) -> dict[str, Any]:
    """The model's own matrices at one token: how much faster than bfloat16, ours and the bare packed product."""
    question = {"folder": str(model.folder), "threads": THREADS, "seconds": 4.0}
    found = ask_peer(python, SCRIPTS / "decode_linears.py", question)
    shares = {f"{weights}_share": one["share"] for weights, one in found["formats"].items()}
    return {**shares, "linears": found}


def _missed(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    wanted = [(model, name, bar) for model in found for name, bar in HF_BARS.items()]
    wanted += [("large", name, bar) for name, bar in LARGE_BARS.items()]
    return [f"{model}: {name} {found[model][name]} < {bar}" for model, name, bar in wanted if found[model][name] < bar]


def _aims_missed(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    wanted = [("large", name, aim) for name, aim in AIMS.items()]
    wanted += [("demo", name, aim) for name, aim in {**AIMS, "ratio_llamacpp_b8": LARGE_BARS["ratio_llamacpp_b8"]}.items()]
    return [f"{model}: {name} {found[model][name]}, aim {aim}" for model, name, aim in wanted if found[model][name] < aim]


def _show(name: str, figures: Mapping[str, Any]) -> None:
    """Some of it, for who watches."""
    print(f"{name}, {figures['facts'][OURS.name]['parameters'] / 1e6:.1f} M parameters, tokens/s:")
    for kind, rates in figures["tokens_per_s"].items():
        print(f"  {kind:7} {rates}")
    print(f"  prompts {figures['prefill_tokens_per_s']}")
    print(f"  ratios  { {ratio: figures[ratio] for ratio in RATIOS} }")
    print(
        f"  eight over one {figures['b8_over_b1']}; share of the roof {figures['mbu']}, GB/s {figures['roof_gb_per_s']}",
        flush=True,
    )


def _line(found: Mapping[str, Mapping[str, Any]], sizes: Sizes) -> dict[str, Any]:
    figures = found["large"]
    return {
        "bench": "decode",
        "ours": figures["tokens_per_s"]["one"][OURS.name],
        "peer": figures["tokens_per_s"]["one"][HF.name],
        **{name: figures[name] for name in RATIOS},
        "unit": "tokens per second of one stream, bfloat16, two threads",
        "n": sizes.rounds,
        "spread": figures["spread"]["ratio"],
        "machine": machine(),
        "mbu": figures["mbu"],
        "b8_over_b1": figures["b8_over_b1"][OURS.name],
        "prompt": sizes.prompt,
        "answer": sizes.answer,
        "models": found,
        "is_check": sizes is CHECK,
        "aims_missed": _aims_missed(found),
    }


if __name__ == "__main__":
    sys.exit(main())

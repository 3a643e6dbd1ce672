"""bench/structured: are answers that are held to a structure valid, every one, and what does holding them cost?

A small model, trained for a minute on docstrings of this Python with a byte-level vocabulary of 4096, answers at temperature 1:
it knows no JSON, so what it says is as wild as the structure allows. Every schema of bench/structured_schemas is asked for once
a round, whitespace free in one round and none in the next; some open schemas go with bounds. An answer counts when it ended by
itself (`length` is a failure) and `jsonschema` accepts it, formats asserted and numbers taken as they are written. What cannot
be enforced must be refused by name before a token is said. Beside it the same engine says as many tokens with nothing to hold
it, turn by turn; times are CPU time of one thread. `--check` runs all of it at toy size. Exits 1 when any answer is not valid.
"""

import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import numpy as np
import torch

from bench.machine import machine
from bench.structured_schemas import OPEN, REFUSED, SCHEMAS, Schema
from bench.workshop import Workshop
from whorl.core.errors import UsageError
from whorl.infer.answer import Model
from whorl.infer.bounds import Bounds
from whorl.infer.engine import Engine, Generated, Request, Sampling, Setup
from whorl.infer.guide import Guide, Guides, StructureGuide
from whorl.infer.schema import SUPPORTED, rewritten
from whorl.infer.structure import Structure, Whitespace
from whorl.model.checkpoint import load
from whorl.tokens.shards import TokenShards

MODEL = {"use": "qwen3", "depth": 4, "width": 128, "heads": 2}
CONTEXT, PROMPT = 1280, 16  # tokens
BOUNDS = Bounds(max_length=12, max_items=3, max_properties=3, max_digits=4, max_depth=2)
ENOUGH_SCHEMAS = 100
WARM = 12  # structures asked for before anything counts


@dataclass(frozen=True)
class Sizes:
    """How large everything is. The defaults are the bench."""

    vocabulary: int = 4096
    steps: int = 300  # of training, 8 rows of 256 tokens
    rounds: int = 6
    rows: int = 8
    schemas: int | None = None  # the first so many; None: all


FULL = Sizes()
CHECK = Sizes(vocabulary=400, steps=2, rounds=2, rows=4, schemas=24)


class Form(NamedTuple):
    """A structure to ask for, and how an answer is judged."""

    name: str
    structure: Structure
    schema: Schema | None  # None: a pattern judges
    pattern: str = ""

    def fault(self, text: str) -> str:
        """What is wrong with an answer; empty when nothing is."""
        if self.schema is None:
            return "" if re.fullmatch(self.pattern, text) else "no match"
        faults = judge_of(self.schema).iter_errors(json.loads(text, parse_float=Decimal))
        return "; ".join(fault.message for fault in islice(faults, 2))


@dataclass
class Watched:
    """A guide, and the CPU-seconds it takes."""

    guide: StructureGuide
    masks: list[float] = field(default_factory=list)
    accepts: list[float] = field(default_factory=list)

    def allowed(self) -> np.ndarray:
        """What the guide allows."""
        began = time.thread_time()
        allowed = self.guide.allowed()
        self.masks.append(time.thread_time() - began)
        return allowed

    def accept(self, token: int) -> None:
        """Let the guide know."""
        began = time.thread_time()
        self.guide.accept(token)
        self.accepts.append(time.thread_time() - began)

    def accepted_by(self, tokens: Sequence[int]) -> int:
        """What the guide says of a draft."""
        return self.guide.accepted_by(tokens)

    @property
    def is_finished(self) -> bool:
        """Whether it is."""
        return self.guide.is_finished


class Round(NamedTuple):
    """One pass over all structures, and as many tokens without one."""

    answers: list[tuple[Form, Generated, str]]
    guided_ms: float  # CPU time per token
    free_ms: float
    masks: list[float]  # CPU-seconds
    accepts: list[float]


def main() -> int:
    """Measure, print what was found, print the JSON line."""
    sizes = CHECK if "--check" in sys.argv else FULL
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        room = Room(Path(name), sizes)
        forms = {space: _forms(sizes, space) for space in ("none", "some")}
        compiled = room.compile([form for each in forms.values() for form in each])
        room.round(forms["none"][:WARM], seed=sizes.rounds)  # kernels are compiled where they are first used
        rounds = [room.round(forms["some" if number % 2 else "none"], seed=number) for number in range(sizes.rounds)]
    figures = _figures(rounds) | compiled | _coverage(sizes) | {"not_refused": _not_refused(room.guides)}
    _show(figures)
    missed = _missed(figures, sizes)
    print(json.dumps(_line(figures, sizes) | {"missed": missed}))
    return 1 if missed else 0


class Room:
    """A trained model, an engine with its stop ids and one without, and guides for its vocabulary."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        shop = Workshop(folder / "made")
        shop.run("pages", use="corpus.collect", sources=[{"use": "python_docs"}])
        shop.run("clean", use="corpus.refine", **{"from": "pages"})
        shop.run("vocab", use="tokens.learn", **{"from": "clean"}, size=sizes.vocabulary)
        shop.run("ids", use="tokens.encode", **{"from": "clean"}, tokenizer="vocab")
        fit = {"data": "ids", "model": MODEL, "objective": {"use": "next_token"}, "watch": None, "max_positions": CONTEXT}
        shop.run("base", use="train.fit", **fit, length=f"{sizes.steps} steps", rows=8, width=256)
        setup = Setup(rows=sizes.rows)
        model = Model.load(folder / "made" / "base", setup=setup)
        self.engine = model.engine
        assert self.engine.token_bytes is not None, "a byte-level vocabulary"
        self.spelled = self.engine.token_bytes
        again = load(folder / "made" / "base", dtype=self.engine.model.compute_dtype).model
        self.free = Engine(again, stop_ids=(), pad_id=self.engine.pad_id, setup=setup)
        self.text = np.asarray(TokenShards.open(folder / "made" / "ids", "held_out").ids)
        began = time.thread_time()
        special = model.renderer.tokenizer.special_ids.tolist()
        self.guides = Guides(self.spelled, stop_ids=self.engine.stop_ids, special_ids=special, kept=2 * len(SCHEMAS) + 100)
        self.vocabulary_ms = (time.thread_time() - began) * 1e3

    def compile(self, forms: Sequence[Form]) -> dict[str, Any]:
        """Compile every structure; milliseconds."""
        taken = []
        for structure in dict.fromkeys(form.structure for form in forms):
            began = time.thread_time()
            self.guides.guide(structure)
            taken.append((time.thread_time() - began) * 1e3)
        return {"compile_ms": _spread(taken, 1), "vocabulary_ms": round(self.vocabulary_ms, 1)}

    def round(self, forms: Sequence[Form], *, seed: int) -> Round:
        """Ask for every structure once, and then for as many tokens of each without one."""
        watched = [Watched(self.guides.guide(form.structure)) for form in forms]
        guided = self._requests(seed, [CONTEXT - PROMPT] * len(forms), watched)
        said, guided_s = self._run(self.engine, guided)
        counts = [len(one.ids) for one in said]
        free, free_s = self._run(self.free, self._requests(seed, counts, [None] * len(forms)))
        tokens = sum(counts)
        assert [len(one.ids) for one in free] == counts, "nothing stops the free answers"
        return Round(
            [(form, one, self._spell(one)) for form, one in zip(forms, said, strict=True)],
            guided_s / tokens * 1e3,
            free_s / tokens * 1e3,
            [taken for one in watched for taken in one.masks],
            [taken for one in watched for taken in one.accepts],
        )

    def _requests(self, seed: int, counts: Sequence[int], guides: Sequence[Guide | None]) -> list[Request]:
        draws = np.random.default_rng(seed)
        starts = draws.integers(0, len(self.text) - PROMPT, len(counts)).tolist()
        prompts = [self.text[start : start + PROMPT].tolist() for start in starts]
        return [
            Request(prompt, Sampling(count, temperature=1.0), seed=seed * 1000 + number, guide=guide)
            for number, (prompt, count, guide) in enumerate(zip(prompts, counts, guides, strict=True))
        ]

    def _run(self, engine: Engine, requests: Sequence[Request]) -> tuple[list[Generated], float]:
        began = time.thread_time()
        numbers = [engine.submit(request) for request in requests]
        while not engine.is_idle:
            engine.step()
        taken = time.thread_time() - began
        return [engine.take(number) for number in numbers], taken

    def _spell(self, said: Generated) -> str:
        ids = [token for token in said.ids if token not in self.engine.stop_ids]
        return b"".join(self.spelled[token] for token in ids).decode()


def judge_of(schema: Schema) -> Any:
    """The validator of a schema's own draft; formats asserted, numbers as they are written: 0.07 is seven hundredths."""
    exact = json.loads(json.dumps(schema), parse_float=Decimal)
    kind = jsonschema.validators.validator_for(exact, default=jsonschema.Draft202012Validator)
    return kind(exact, format_checker=kind.FORMAT_CHECKER)


def _forms(sizes: Sizes, space: Whitespace) -> list[Form]:
    closed = [
        Form(name, Structure.schema(schema, whitespace=space), schema)
        for name, schema in islice(SCHEMAS.items(), sizes.schemas)
    ]
    opened = [Form(name, Structure.schema(schema, whitespace=space, bounds=BOUNDS), schema) for name, schema in OPEN.items()]
    whole = Form("any object", Structure.json_object(whitespace=space, bounds=BOUNDS), {"type": "object"})
    pattern = r"(yes|no), [0-9]{1,3}( [a-z]{2,5}){0,3}\."
    choices = ["yes", "no", "not yet", "I do not know"]
    return [
        *closed,
        *opened,
        whole,
        Form("a regular expression", Structure.regex(pattern), None, pattern),
        Form("choices", Structure.choice(choices), None, "|".join(choices)),
    ]


def _figures(rounds: Sequence[Round]) -> dict[str, Any]:
    answers = [answer for one in rounds for answer in one.answers]
    ended = [answer for answer in answers if answer[1].finish == "stop"]
    faults = {form.name: f"{fault}: {text[:80]}" for form, _, text in ended if (fault := form.fault(text))}
    cut = {form.name: f"{said.finish} {said.error}" for form, said, _ in answers if said.finish != "stop"}
    return {
        "answers": len(answers),
        "structures": len({form.name for form, _, _ in answers}),
        "valid": sum(form.fault(text) == "" for form, _, text in ended),
        "not_valid": faults,
        "not_ended": cut,
        "tokens": sum(len(said.ids) for _, said, _ in answers),
        "longest": max(len(said.ids) for _, said, _ in answers),
        "distinct": len({(form.name, text) for form, _, text in answers}),
        "guided_ms": _spread([one.guided_ms for one in rounds], 3),
        "free_ms": _spread([one.free_ms for one in rounds], 3),
        "ratio": _spread([one.free_ms / one.guided_ms for one in rounds], 3),
        "mask_us": _tail([taken * 1e6 for one in rounds for taken in one.masks]),
        "accept_us": _tail([taken * 1e6 for one in rounds for taken in one.accepts]),
    }


def _coverage(sizes: Sizes) -> dict[str, Any]:
    """How many schemas say each keyword, as they are handed to the compiler."""
    counts: Counter[str] = Counter()
    for schema in islice(SCHEMAS.values(), sizes.schemas):
        words: set[str] = set()

        def note(node: dict[str, Any], where: str, words: set[str] = words) -> dict[str, Any]:
            del where
            words.update(node)
            words.update([f"format {node['format']}"] if "format" in node else [])
            return node

        rewritten(schema, note)
        counts.update(words)
    return {"keywords": {word: counts[word] for word in SUPPORTED}, "formats": {w: n for w, n in counts.items() if " " in w}}


def _not_refused(guides: Guides) -> list[str]:
    """What should have been refused by name and was not."""
    passed = []
    for word, schema in REFUSED.items():
        try:
            guides.guide(Structure.schema(schema))
            passed.append(f"{word}: taken")
        except UsageError as error:
            passed += [] if word in str(error) else [f"{word}: refused as {error}"]
    return passed


def _spread(values: Sequence[float], places: int) -> list[float]:
    """Least, median, most."""
    return [round(value, places) for value in (min(values), statistics.median(values), max(values))]


def _tail(values: Sequence[float]) -> dict[str, float]:
    middle, late = np.percentile(values, [50, 99])
    return {
        "mean": round(statistics.fmean(values), 1),
        "median": round(float(middle), 1),
        "p99": round(float(late), 1),
        "most": round(max(values), 1),
    }


def _missed(figures: Mapping[str, Any], sizes: Sizes) -> list[str]:
    missed = [f"{name}: not valid: {fault}" for name, fault in figures["not_valid"].items()]
    missed += [f"{name}: did not end: {why}" for name, why in figures["not_ended"].items()]
    missed += figures["not_refused"]
    if sizes is FULL:
        missed += [f"no schema says '{word}'" for word, count in figures["keywords"].items() if not count]
        missed += [f"{len(SCHEMAS)} schemas, want {ENOUGH_SCHEMAS}"] if len(SCHEMAS) < ENOUGH_SCHEMAS else []
    return missed


def _show(figures: Mapping[str, Any]) -> None:
    print(f"schemas that say each keyword: {figures['keywords']}")
    print(f"and each format: {figures['formats']}")
    print(f"{figures['valid']} of {figures['answers']} answers to {figures['structures']} structures are valid")
    print(f"{figures['tokens']} tokens, the longest answer {figures['longest']}; {figures['distinct']} answers differ")
    print(f"CPU-ms a token (least, median, most round): {figures['guided_ms']} held, {figures['free_ms']} free")
    print(f"a mask {figures['mask_us']} us, a token taken {figures['accept_us']} us")
    print(f"a grammar {figures['compile_ms']} ms (least, median, most), the vocabulary once {figures['vocabulary_ms']} ms")
    print(
        f"{len(REFUSED) - len(figures['not_refused'])} of {len(REFUSED)} that cannot be enforced are refused by name",
        flush=True,
    )


def _line(figures: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
    return {
        "bench": "structured",
        "ours": figures["guided_ms"][1],
        "peer": figures["free_ms"][1],
        "ratio": figures["ratio"][1],
        "unit": f"CPU-ms per token, {sizes.rows} answers at a time, one thread; peer: the same engine with nothing to hold it",
        "n": figures["answers"],
        "spread": [figures["ratio"][0], figures["ratio"][2]],
        "machine": machine(),
        "schemas": len(SCHEMAS),
        "valid_share": round(figures["valid"] / figures["answers"], 6),
        "vocabulary": sizes.vocabulary,
        "is_check": sizes is CHECK,
        **figures,
    } | {"ratio": figures["ratio"][1]}


if __name__ == "__main__":
    sys.exit(main())

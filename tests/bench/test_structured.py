"""What bench.structured asks for, how it judges answers, and that it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench.structured_schemas import FORMATS, OPEN, REFUSED, SCHEMAS

from bench import structured as bench
from whorl.infer.guide import Guides
from whorl.infer.schema import SUPPORTED
from whorl.infer.structure import Structure

END = 256
GUIDES = Guides([*[bytes([byte]) for byte in range(256)], b""], stop_ids=[END])


def walk(structure: Structure, seed: int) -> str:
    """An answer in bytes drawn evenly from what is allowed."""
    draws, guide, said = np.random.default_rng(seed), GUIDES.guide(structure), []
    while len(said) < 2000:
        token = int(draws.choice(np.flatnonzero(guide.allowed())))
        guide.accept(token)
        if token == END:
            return bytes(said).decode()
        said.append(token)
    raise AssertionError(f"no end: {bytes(said[:100])!r}")


def test_there_are_schemas_enough_and_together_they_say_every_keyword_and_format():
    found = bench._coverage(bench.FULL)
    assert len(SCHEMAS) >= bench.ENOUGH_SCHEMAS
    assert len({json.dumps(schema) for schema in SCHEMAS.values()}) == len(SCHEMAS), "no schema counts twice"
    assert set(found["keywords"]) == set(SUPPORTED)
    assert min(found["keywords"].values()) >= 2
    assert {f"format {name}" for name in FORMATS} <= set(found["formats"])


def test_every_schema_is_one_by_its_own_meta_schema():
    for schema in [*SCHEMAS.values(), *OPEN.values()]:
        bench.judge_of(schema).check_schema(schema)


@pytest.mark.parametrize("space", ["none", "some"])
def test_answers_drawn_in_bytes_end_and_are_valid(space):
    forms = bench._forms(bench.FULL, space)
    assert {form.name: fault for form in forms if (fault := form.fault(walk(form.structure, 0)))} == {}


def test_an_answer_that_breaks_a_rule_is_not_taken_for_valid():
    form = bench.Form("x", Structure.schema({"type": "integer", "maximum": 3}), {"type": "integer", "maximum": 3})
    assert form.fault("3") == ""
    assert form.fault("4") == "4 is greater than the maximum of 3"
    day = {"type": "string", "format": "date"}
    assert "is not a 'date'" in bench.Form("d", Structure.schema(day), day).fault('"2023-02-29"')
    step = {"type": "number", "multipleOf": 0.01}
    assert bench.Form("s", Structure.schema(step), step).fault("0.07") == "", "as it is written, not as a float"
    assert bench.Form("r", Structure.regex("a"), None, "a").fault("ab") == "no match"


def test_everything_that_cannot_be_enforced_is_refused_by_name():
    assert len(REFUSED) >= 20
    assert bench._not_refused(GUIDES) == []


def test_a_length_finish_and_a_fault_are_misses():
    figures = {
        "not_valid": {"a": "4 is too much: 4"},
        "not_ended": {"b": "length "},
        "not_refused": ["not: taken"],
        "keywords": {"type": 1, "enum": 0},
    }
    assert bench._missed(figures, bench.FULL) == [
        "a: not valid: 4 is too much: 4",
        "b: did not end: length ",
        "not: taken",
        "no schema says 'enum'",
    ]


@pytest.mark.slow
def test_the_bench_runs_at_toy_size():
    command = [sys.executable, "-m", "bench.structured", "--check"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=False, cwd=Path(bench.__file__).parents[1], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["missed"] == []
    assert line["valid_share"] == 1
    assert line["is_check"]

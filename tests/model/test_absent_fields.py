"""A field that a public config.json leaves out means what transformers takes it for, in every family.

The peer's readings are kept in tests/golden/model/absent.json.
"""

import json
import subprocess
from pathlib import Path

import pytest
from toy_models import tiny_config

from whorl.core.errors import DataError
from whorl.model.families import Family

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "model" / "absent.json"
PEER = ROOT / ".venv-bench-hf" / "bin" / "python"
TOGETHER = (("rope_parameters", "rope_theta"),)  # said twice, for old and new readers


def written(family):
    """The config.json of the family's toy."""
    return json.loads(json.dumps(Family.find(family, frozenset()).to_hub(tiny_config(family))))


def left_out(fields):
    single = [(name,) for name in fields if name not in ("model_type", "architectures") and not name.endswith("_token_id")]
    return single + [names for names in TOGETHER if set(names) <= set(fields)]


@pytest.mark.parametrize("family", Family.names())
def test_an_absent_field_means_what_transformers_takes_it_for(family):
    """Reading without it equals reading with what the peer takes it for, or it is asked for by name."""
    member, fields = Family.find(family, frozenset()), written(family)
    recorded = json.loads(GOLDEN.read_text())["absent"][family]
    assert set(recorded) == {" ".join(names) for names in left_out(fields)}
    asked_for = []
    for names, changed in recorded.items():
        rest = {name: value for name, value in fields.items() if name not in names.split()}
        try:
            found = member.from_hub(rest)
        except DataError:
            asked_for.append(names)
            continue
        assert changed is not None, f"{names}: the peer refuses to do without"
        assert found == member.from_hub({**rest, **changed}), names
    assert all(type(fields[names]) is int for names in asked_for), (
        "only sizes are asked for: the peer has a model of its own in mind"
    )


@pytest.mark.parity
def test_the_peer_still_takes_absent_fields_for_the_same(tmp_path):
    """Writes what the peer says of families that are not recorded; to record anew, delete the golden."""
    assert PEER.is_file(), f"no peer: python3.11 -m venv {PEER.parents[1]}, then pip install torch==2.13.0 transformers in it"
    configs = {family: written(family) for family in Family.names()}
    ask = {"configs": configs, "left_out": {family: left_out(fields) for family, fields in configs.items()}}
    (tmp_path / "ask.json").write_text(json.dumps(ask))
    script = Path(__file__).with_name("peer_fields.py")
    command = [str(PEER), str(script), str(tmp_path / "ask.json"), str(tmp_path / "said.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "said.json").read_text())
    kept = json.loads(GOLDEN.read_text())["absent"] if GOLDEN.is_file() else {}
    if set(said["absent"]) - set(kept):
        merged = {"versions": said["versions"], "absent": {**said["absent"], **kept}}
        GOLDEN.write_text(json.dumps(merged, indent=1, sort_keys=True) + "\n")
    assert {**said["absent"], **kept} == said["absent"]

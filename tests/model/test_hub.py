"""Every family means to transformers what it means here, both ways. The peer's answers are kept in tests/golden/model."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from whorl.infer.engine import Engine, Sampling
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.mask import PADDING, MaskSpec

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "model"
PEER = ROOT / ".venv-bench-hf" / "bin" / "python"
ROWS = [[5, 9, 60, 7], [0, 12, 33, 8, 8, 41, 3, 59, 20], [11]]
DOCUMENTS = [[0, 14, 15, 9, 26], [0, 5], [0, 53, 58, 9, 7, 9, 32]]
MAX_TOKENS = 12
# float32 with sums in another order; logits are of order one
NEAR = {"atol": 1e-4, "rtol": 0}
# What a family is asked to be in several ways; each is one folder of the peer.
VARIANTS = {
    "plain": {},
    "relu2": {"activation": "relu2"},
    "untied": {"tied": False, "activation": "gelu_tanh", "rope_theta": 500.0, "kv_heads": 4},
}

every_family = pytest.mark.parametrize("family", Family.names())


def right_padded(rows):
    longest = max(map(len, rows))
    ids = torch.tensor([row + [2] * (longest - len(row)) for row in rows])
    docs = torch.tensor([[0] * len(row) + [PADDING] * (longest - len(row)) for row in rows])
    return ids, docs


def our_padded(model):
    ids, docs = right_padded(ROWS)
    return model.head(model(ids, mask=MaskSpec(docs=docs)))


def our_packed(model):
    """All documents in one row."""
    lengths = list(map(len, DOCUMENTS))
    ids = torch.tensor([[token for document in DOCUMENTS for token in document]])
    docs = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).unsqueeze(0)
    positions = torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0)
    return model.head(model(ids, mask=MaskSpec(docs=docs), positions=positions))[0]


def assert_equal_where_text(ours, theirs):
    for row, (a, b) in zip(ROWS, zip(ours, torch.from_numpy(theirs), strict=True), strict=True):
        torch.testing.assert_close(a[: len(row)], b[: len(row)], **NEAR)


def our_greedy(model):
    found = Engine(model, stop_ids={1}, pad_id=2).generate(ROWS, Sampling(max_tokens=MAX_TOKENS))
    return [list(one.ids) + [2] * (MAX_TOKENS - len(one.ids)) for one in found]


@torch.no_grad()
def assert_same(model, peer, name):
    assert_equal_where_text(our_padded(model), peer[f"{name}/padded"])
    torch.testing.assert_close(our_packed(model), torch.from_numpy(peer[f"{name}/packed"]), **NEAR)
    assert our_greedy(model) == peer[f"{name}/greedy"].tolist()


@every_family
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_and_greedy_answers_equal_what_the_peer_was_recorded_to_give(family, variant, tiny, filled):
    with np.load(GOLDEN / f"{family}.npz") as peer:
        assert_same(filled(tiny(family, **VARIANTS[variant])), peer, variant)


@pytest.mark.parity
@every_family
def test_the_peer_gives_our_logits_in_both_directions(family, tiny, filled, tmp_path):
    """Writes what the peer says when nothing is recorded; to record anew, delete tests/golden/model."""
    assert PEER.is_file(), f"no peer: python3.11 -m venv {PEER.parents[1]}, then pip install torch==2.13.0 transformers in it"
    folders = {variant: str(tmp_path / variant) for variant in VARIANTS}
    models = {variant: filled(tiny(family, **dials)) for variant, dials in VARIANTS.items()}
    for variant, model in models.items():
        checkpoint.save(tmp_path / variant, model, family=family)
    ask = {"folders": folders, "rows": ROWS, "documents": DOCUMENTS, "max_tokens": MAX_TOKENS}
    (tmp_path / "ask.json").write_text(json.dumps(ask))
    script = Path(__file__).with_name("peer_decoder.py")
    command = [str(PEER), str(script), str(tmp_path / "ask.json"), str(tmp_path / "said.npz")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with np.load(tmp_path / "said.npz") as said:
        for variant, model in models.items():
            assert str(said[f"{variant}/class"]) == Family.find(family, frozenset()).architecture
            assert_same(model, said, variant)
            drawn = checkpoint.load(tmp_path / f"{variant}-drawn")
            assert (drawn.family, len(list(drawn.folder.glob("*.safetensors"))) > 1) == (family, True)
            with torch.no_grad():
                assert_equal_where_text(our_padded(drawn.model), said[f"{variant}/drawn"])
        record(family, said)


def record(family, said):
    """Keep the peer's answers if there are none yet, else compare: numbers to the tolerance, greedy ids exactly."""
    numbers = {name: said[name] for name in said.files if name.endswith(("/padded", "/packed", "/greedy"))}
    path = GOLDEN / f"{family}.npz"
    if not path.is_file():
        GOLDEN.mkdir(exist_ok=True)
        np.savez_compressed(path, **numbers)
        about = {"weights": "numpy default_rng(0), see tests/model/conftest.py", "peer": json.loads(str(said["versions"]))}
        path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    with np.load(path) as kept:
        assert set(kept.files) == set(numbers)
        for name in kept.files:
            np.testing.assert_allclose(numbers[name], kept[name], atol=1e-5)

"""Every family means to transformers what it means here, both ways. The peer's answers are kept in tests/golden/model."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_models import config_of, filled_model, variants_of

from whorl.core.errors import DataError
from whorl.infer.engine import Engine, Sampling
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.heads import pooled
from whorl.model.mask import PADDING, MaskSpec

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "model"
PEER = ROOT / ".venv-bench-hf" / "bin" / "python"
ROWS = [[5, 9, 60, 7], [0, 12, 33, 8, 8, 41, 3, 59, 20], [11]]
SEGMENTS = [[0, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1, 1], [0]]
DOCUMENTS = [[0, 14, 15, 9, 26], [0, 5], [0, 53, 58, 9, 7, 9, 32]]
MAX_TOKENS = 12
KEPT = ("padded", "padded_rows", "packed", "packed_rows", "greedy")
# float32 with sums in another order; logits are of order one
NEAR = {"atol": 1e-4, "rtol": 0}
# Fields of config.json that change nothing a forward pass computes. Dropout is a matter of training here.
_HARMLESS = """
_name_or_path architectures attention_dropout attention_probs_dropout_prob attn_pdrop bos_token_id
chunk_size_feed_forward classifier_dropout cls_token_id deterministic_flash_attn dtype embd_pdrop embedding_dropout
eos_token_id hidden_dropout_prob id2label initializer_cutoff_factor label2id mlp_dropout model_type output_attentions
output_hidden_states output_router_logits pad_token_id pretraining_tp problem_type reorder_and_upcast_attn resid_pdrop
return_dict router_jitter_noise sep_token_id sparse_pred_ignore_index sparse_prediction summary_activation
summary_first_dropout summary_proj_to_labels summary_type summary_use_proj transformers_version use_cache
"""
HARMLESS = frozenset(_HARMLESS.split())
LAYER_TYPES_SAY_IT = frozenset({"max_window_layers"})  # read only where layer_types is absent, here and there

every_family = pytest.mark.parametrize("family", Family.names())
CASES = [(family, variant) for family in Family.names() for variant in variants_of(family)]


def right_padded(rows, filler):
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def answered(model, ids, docs, **places):
    """Logits of tokens, or the scores of whole documents, named as the peer names them."""
    hidden = model(ids, mask=MaskSpec(docs=docs), **places)
    config = model.config
    said = {"": model.head(hidden)} if config.head_bias or not config.classes else {}
    if config.classes:
        said["_rows"] = model.classify(pooled(hidden, docs, pooler=config.pooler))
    return said


def our_padded(model):
    docs = right_padded([[0] * len(row) for row in ROWS], PADDING)
    places = {"segments": right_padded(SEGMENTS, 0)} if model.config.segments else {}
    return answered(model, right_padded(ROWS, 2), docs, **places)


def our_packed(model):
    """All documents in one row."""
    lengths = list(map(len, DOCUMENTS))
    ids = torch.tensor([[token for document in DOCUMENTS for token in document]])
    docs = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).unsqueeze(0)
    positions = torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0)
    said = answered(model, ids, docs, positions=positions)
    return {kind: value[0] if kind == "" else value for kind, value in said.items()}


def our_greedy(model):
    found = Engine(model, stop_ids={1}, pad_id=2).generate(ROWS, Sampling(max_tokens=MAX_TOKENS))
    return [list(one.ids) + [2] * (MAX_TOKENS - len(one.ids)) for one in found]


def assert_near_where_text(said, peer, name):
    """Padded rows: whatever stands at padding is nobody's business."""
    for kind, ours in said.items():
        theirs = torch.from_numpy(peer[f"{name}{kind}"])
        assert ours.shape == theirs.shape
        for row, a, b in zip(ROWS, ours, theirs, strict=True):
            text = slice(len(row)) if kind == "" else slice(None)
            torch.testing.assert_close(a[text], b[text], **NEAR)


@torch.no_grad()
def assert_same(model, peer, name):
    assert_near_where_text(our_padded(model), peer, f"{name}/padded")
    for kind, ours in our_packed(model).items():
        torch.testing.assert_close(ours, torch.from_numpy(peer[f"{name}/packed{kind}"]), **NEAR)
    if model.config.causal:
        assert our_greedy(model) == peer[f"{name}/greedy"].tolist()


@pytest.mark.parametrize(("family", "variant"), CASES)
def test_logits_and_greedy_answers_equal_what_the_peer_was_recorded_to_give(family, variant):
    with np.load(GOLDEN / f"{family}.npz") as peer:
        assert_same(filled_model(config_of(family, variants_of(family)[variant])), peer, variant)


def changed(value):
    """Another value that a careless reader would not notice."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 + 1
    if isinstance(value, str):
        return value + "_other"
    if isinstance(value, list):
        return [*value[:-1], "other"]
    return {"other": 1} if isinstance(value, dict) else 7


def understands(member, fields, name):
    """Whether changing one field of a config.json changes the architecture that is read, or is refused."""
    try:
        return member.from_hub({**fields, name: changed(fields[name])}) != member.from_hub(fields)
    except DataError:
        return True


@every_family
def test_every_public_field_is_understood_refused_or_known_to_change_nothing(family):
    member = Family.find(family, frozenset())
    variants = json.loads((GOLDEN / f"{family}.json").read_text())["fields"]
    seen = {name for fields in variants.values() for name in fields}
    understood = {name for fields in variants.values() for name in fields if understands(member, fields, name)}
    assert seen - understood - HARMLESS - LAYER_TYPES_SAY_IT == set()


@pytest.mark.parity
@every_family
def test_the_peer_gives_our_logits_in_both_directions(family, tmp_path):
    """Writes what the peer says when nothing is recorded; to record anew, delete the family's files in tests/golden/model."""
    assert PEER.is_file(), f"no peer: python3.11 -m venv {PEER.parents[1]}, then pip install torch==2.13.0 transformers in it"
    models = {name: filled_model(config_of(family, variant)) for name, variant in variants_of(family).items()}
    for name, model in models.items():
        checkpoint.save(tmp_path / name, model, family=family)
    with np.load(asked(tmp_path, models)) as said:
        for name, model in models.items():
            stated = json.loads((tmp_path / name / "config.json").read_text())["architectures"]
            assert [str(said[f"{name}/class"])] == stated
            assert_same(model, said, name)
            assert_reads_what_the_peer_drew(tmp_path, family, said, name)
        record(family, said)


@torch.no_grad()
def assert_reads_what_the_peer_drew(folder, family, said, name):
    """In shards, and where it was asked for without the head."""
    assert len(list((folder / f"{name}-drawn").glob("*.safetensors"))) > 1
    for written in (folder / f"{name}-drawn", *folder.glob(f"{name}-headless")):
        drawn = checkpoint.load(written)
        assert drawn.family == family
        assert_near_where_text(our_padded(drawn.model), said, f"{name}/drawn")


def asked(folder, models):
    """The peer's answers about the models' checkpoints in a folder."""
    config = next(iter(models.values())).config
    ask = {
        "folders": {name: str(folder / name) for name in models},
        "headless": [name for name, model in models.items() if model.config.causal and model.config.tied],
        "rows": ROWS,
        "segments": SEGMENTS if config.segments else None,
        "documents": DOCUMENTS,
        "max_tokens": MAX_TOKENS,
    }
    (folder / "ask.json").write_text(json.dumps(ask))
    script = Path(__file__).with_name("peer_decoder.py")
    command = [str(PEER), str(script), str(folder / "ask.json"), str(folder / "said.npz")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "said.npz"


def record(family, said):
    """Keep the peer's answers if there are none yet, else compare: numbers to the tolerance, greedy ids exactly."""
    numbers = {name: said[name] for name in said.files if name.partition("/")[2] in KEPT}
    path = GOLDEN / f"{family}.npz"
    if not path.is_file():
        GOLDEN.mkdir(exist_ok=True)
        np.savez_compressed(path, **numbers)
        fields = {name.partition("/")[0]: json.loads(str(said[name])) for name in said.files if name.endswith("/fields")}
        peer = json.loads(str(said["versions"]))
        about = {"weights": "numpy default_rng(0), see tests/model/toy_models.py", "peer": peer, "fields": fields}
        path.with_suffix(".json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    with np.load(path) as kept:
        assert set(kept.files) == set(numbers)
        for name in kept.files:
            np.testing.assert_allclose(numbers[name], kept[name], atol=1e-5)

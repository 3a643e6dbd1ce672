"""Laws of the door: every family's public layout and ours say the same, and refuse what they cannot say."""

import json
import re
from pathlib import Path

import pytest
from toy_models import config_of, fits, tiny_config, variants_of

from whorl.core.errors import ConfigError, DataError
from whorl.model.config import ModelConfig
from whorl.model.families import Family, family_of
from whorl.model.transformer import Transformer

every_family = pytest.mark.parametrize("family", Family.names())
CASES = [(family, variant) for family in Family.names() for variant in variants_of(family)]
# Other values of every axis; what goes together is set together.
_SCALED = {"factor": 3.0, "original_positions": 8}
_EXPERTS = {"experts": 4, "experts_per_token": 2, "expert_width": 40}
CHANGES = [
    {"vocab_size": 7},
    {"width": 48},
    {"depth": 1, "windows": (), "expert_layers": ()},
    {"heads": 2},
    {"kv_heads": 1},
    {"kv_heads": 4},
    {"head_dim": 6},
    {"head_dim": 12},
    {"mlp_width": 8},
    {"max_positions": 9},
    *({"activation": name} for name in ("silu", "relu", "relu2", "gelu", "gelu_tanh")),
    {"gated": True},
    {"gated": False},
    {"mlp_bias": True},
    {"mlp_bias": False},
    {"norm": "rms", "norm_bias": False},
    {"norm": "layer", "norm_bias": True},
    {"norm": "layer", "norm_bias": False},
    {"norm_at": "pre"},
    {"norm_at": "post", "first_norm": True},
    {"norm_at": "output", "first_norm": True},
    {"norm_eps": 0.01},
    {"embed_norm": True},
    {"final_norm": False},
    {"first_norm": True},
    *({"qk_norm": name} for name in ("none", "head", "all")),
    {"attn_bias": True},
    {"attn_bias": False, "out_bias": False},
    {"attn_bias": True, "out_bias": True},
    *({"windows": windows} for windows in ((), (5, 5), (None, 5), (5, None), (3, 5))),
    {"positions": "learned"},
    {"positions": "rotary"},
    {"segments": 0},
    {"segments": 3},
    {"rope_theta": 77.0},
    {"rope_scaling": None},
    *({"rope_scaling": {**_SCALED, "kind": kind}} for kind in ("linear", "llama3", "yarn")),
    {"rope_scaling": {**_SCALED, "kind": "llama3", "low_frequency": 0.5, "high_frequency": 2.0}},
    {"rope_scaling": {**_SCALED, "kind": "yarn", "beta_fast": 9.0, "beta_slow": 2.0, "truncate": False, "magnitude": 0.7}},
    {"local_theta": 55.0},
    _EXPERTS,
    {**_EXPERTS, "expert_width": 24},
    {**_EXPERTS, "expert_layers": (True, False)},
    {**_EXPERTS, "shared_width": 8},
    {**_EXPERTS, "shared_width": 8, "shared_gate": True},
    {**_EXPERTS, "routed_scale": 2.0},
    {**_EXPERTS, "router": "sigmoid"},
    {**_EXPERTS, "normalise_top": False},
    {**_EXPERTS, "balance": "bias"},
    {**_EXPERTS, "balance": "none"},
    {**_EXPERTS, "balance_weight": 0.5},
    {**_EXPERTS, "router_z": 0.5},
    {"tied": True},
    {"tied": False},
    {"head_transform": True},
    {"head_transform_bias": True},
    {"head_bias": True},
    {"pooler": "first", "classes": 3},
    {"pooler": "mean", "classes": 3},
    {"pooler": "first", "pooler_dense": True, "classes": 3},
    {"causal": True},
    {"causal": False},
    {"init_std": 0.5},
]


def test_every_axis_is_tried():
    untraceable = {"zero_outputs"}  # how weights began; a finished model does not show it
    assert {axis for change in CHANGES for axis in change} | untraceable == set(ModelConfig.model_fields)


def same(one, other):
    """Equal, however it is said that no layer has a window."""
    plain, written = ({**dict(config), "windows": config.windows if any(config.windows) else ()} for config in (one, other))
    return plain == written


@every_family
def test_a_layout_holds_an_architecture_exactly_or_refuses_it_by_name(family):
    """Every axis changed: either reading back what was written gives it again, or writing names an axis and its value."""
    member, plain = Family.find(family, frozenset()), dict(tiny_config(family))
    held, refused = [], []
    for change in CHANGES:
        try:
            config = ModelConfig.model_validate({**plain, **change})
        except ValueError:
            continue  # does not go with this family's other axes
        misfit = member.misfit(config)
        if misfit is None:
            fields = json.loads(json.dumps(member.to_hub(config)))
            assert same(member.from_hub(fields), config), change
            assert fields["model_type"] == member.model_type
            held.append(config)
        else:
            assert "=" in misfit, change
            refused.append(config)
    assert family_of(member.to_hub(held[0])) is member
    with pytest.raises(ConfigError, match=re.escape(f"layout cannot hold {member.misfit(refused[0])}; ")):
        member.to_hub(refused[0])
    assert len(held) + len(refused) > 40
    assert min(len(held), len(refused)) > 10


@pytest.mark.parametrize(("family", "variant"), CASES)
def test_every_tensor_has_one_public_place_and_it_reads_back(family, variant):
    config = config_of(family, variants_of(family)[variant])
    member = Family.find(family, frozenset())
    assert member.from_hub(json.loads(json.dumps(member.to_hub(config)))) == config
    shapes = {name: tensor.shape for name, tensor in Transformer(config).state_dict().items()}
    entries = member.layout_of(config).entries(shapes)
    placed = [piece.ours for entry in entries.values() for piece in entry.pieces]
    assert set(placed) == set(shapes)
    numbers = sum(piece.rows * entry_width(entry) for entry in entries.values() for piece in entry.pieces)
    assert numbers == sum(shape.numel() for shape in shapes.values())


def entry_width(entry):
    """Numbers in a row as we hold it."""
    if len(entry.shape) < 2:
        return 1
    return entry.shape[-2] if entry.flipped else entry.shape[-1]


@every_family
@pytest.mark.parametrize("tied", [True, False])
def test_a_family_is_tied_or_not_as_asked_or_refuses(family, tied):
    if fits(family, tied=tied):
        assert tiny_config(family, tied=tied).tied is tied
    else:
        member = Family.find(family, frozenset())
        assert "tied" in (member.misfit(tiny_config(family, tied=tied)) or "")


def test_an_unknown_architecture_names_the_known_ones():
    known = r"known: bert, .*gpt2, llama, .*mistral, .*olmo2, qwen2, .*qwen3"
    with pytest.raises(DataError, match=f"model_type='mamba' is not supported; {known}"):
        family_of({"model_type": "mamba"})


@every_family
def test_a_family_is_in_the_table_for_people(family):
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    assert f"| `{family}` |" in page, f"docs/models.md: say what {family} is"

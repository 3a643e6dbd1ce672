import pytest
import torch
from toy_exports import POSITIONS, STEEP, VARIANTS, YARN, config_of
from toy_models import filled_model

from whorl.compress.llama_cpp import ARCHITECTURES, architecture_of, fields_of, public_tensors
from whorl.core.errors import DataError
from whorl.model.families import Family


def tensors_of(family, **dials):
    model = filled_model(config_of(family, dials))
    found = architecture_of(family, model.config, context=POSITIONS)
    return model, {one.name: one for one in public_tensors(found, model.config, model.state_dict(), context=POSITIONS)}


def test_every_causal_family_has_a_row_and_is_tried():
    causal = {name for name in Family.names() if Family.find(name, frozenset()).fixed.get("causal", True)}
    assert set(ARCHITECTURES) == causal == {family for family, _ in VARIANTS.values()}


@pytest.mark.parametrize(("family", "dials"), VARIANTS.values(), ids=VARIANTS)
def test_every_number_of_a_model_is_in_its_file_once_and_a_tied_head_where_it_is_asked_for(family, dials):
    model, tensors = tensors_of(family, **dials)
    ours = sum(tensor.numel() for tensor in model.state_dict().values())
    theirs = {name: one.made() for name, one in tensors.items() if name != "rope_freqs.weight"}
    head = model.embed.weight.numel() if model.config.tied and ARCHITECTURES[family].wants_head else 0
    assert sum(tensor.numel() for tensor in theirs.values()) == ours + head
    assert {name: tuple(tensor.shape) for name, tensor in theirs.items()} == {
        name: one.shape for name, one in tensors.items() if name in theirs
    }


def test_rows_of_queries_and_keys_stand_so_that_neighbours_turn_together():
    model, tensors = tensors_of("llama")
    ours = model.state_dict()["blocks.1.attn.k.weight"]  # 2 heads of 16 channels: 0 turns with 8
    theirs = tensors["blk.1.attn_k.weight"].made()
    assert torch.equal(theirs[:4], ours[[0, 8, 1, 9]])
    assert torch.equal(theirs[16:18], ours[[16, 24]])
    assert torch.equal(tensors["blk.1.attn_v.weight"].made(), model.state_dict()["blocks.1.attn.v.weight"])


def test_other_architectures_turn_halves_and_keep_the_order():
    model, tensors = tensors_of("qwen3")
    assert torch.equal(tensors["blk.0.attn_q.weight"].made(), model.state_dict()["blocks.0.attn.q.weight"])


def test_the_three_maps_of_gpt2_stand_below_each_other():
    model, tensors = tensors_of("gpt2")
    weights = model.state_dict()
    wanted = torch.cat([weights[f"blocks.0.attn.{name}.bias"] for name in "qkv"])
    assert torch.equal(tensors["blk.0.attn_qkv.bias"].made(), wanted)


def test_positions_are_cut_to_the_context():
    model = filled_model(config_of("gpt2", {}))
    found = architecture_of("gpt2", model.config, context=7)
    (places,) = (
        one for one in public_tensors(found, model.config, model.state_dict(), context=7) if one.name == "position_embd.weight"
    )
    assert torch.equal(places.made(), model.state_dict()["places.weight"][:7])


def test_stretched_frequencies_are_told_one_by_one_where_they_can_be():
    _, tensors = tensors_of("llama", rope_scaling=STEEP)
    factors = tensors["rope_freqs.weight"].made()
    assert factors.shape == (8,)
    assert factors[0] == 1.0
    assert factors[-1] == 4.0  # the slowest is stretched whole
    assert (factors.diff() >= 0).all()


def test_fields_say_the_shape_and_the_experts():
    config = config_of("dots1", {"dense_layers": 1})
    said = fields_of(architecture_of("dots1", config, context=POSITIONS), config, context=POSITIONS)
    assert (said["embedding_length"], said["attention.head_count"], said["feed_forward_length"]) == (64, 4, 96)
    assert (said["expert_count"], said["expert_used_count"], said["expert_feed_forward_length"]) == (6, 3, 32)
    assert (said["leading_dense_block_count"], said["expert_shared_count"]) == (1, 1)
    assert said["expert_gating_func"] == 2


@pytest.mark.parametrize(
    ("family", "dials", "named"),
    [
        ("llama", {"activation": "gelu_tanh"}, r"activation='gelu_tanh' \(it computes with 'silu'\)"),
        ("gpt2", {"activation": "gelu"}, r"activation='gelu' \(it computes with 'gelu_tanh'\)"),
        ("mistral", {"window": 8}, r"a window of 8 positions \(with context: 8 or less"),
        ("qwen3", {"window": 8, "full_layers": 1}, "a window of 8 positions"),
        ("qwen3", {"attn_bias": True, "out_bias": True}, "attn_bias=True"),
        ("qwen3", {"rope_scaling": STEEP}, r"yarn with beta_fast, beta_slow, truncate=\(8.0, 0.2, True\)"),
        ("qwen2", {"rope_scaling": {**YARN, "kind": "llama3"}}, "rope scaling of kind 'llama3'"),
        ("qwen2", {"head_dim": 32}, "heads=4 of head_dim=32 with width=64"),
        ("qwen2_moe", {"normalise_top": True}, "normalise_top=True"),
        ("qwen3_moe", {"normalise_top": False}, "normalise_top=False"),
        ("qwen3_moe", {"dense_layers": (0,)}, r"expert_layers=\(False, True\)"),
        ("dots1", {"kv_heads": 2}, "kv_heads=2 with heads=4"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused_by_name(family, dials, named):
    with pytest.raises(DataError, match=named):
        architecture_of(family, config_of(family, dials), context=POSITIONS)


def test_a_window_no_shorter_than_the_context_changes_nothing_and_passes():
    config = config_of("mistral", {"window": 8})
    assert architecture_of("mistral", config, context=8).name == "llama"


def test_a_family_it_does_not_run_is_refused_naming_those_it_does():
    config = Family.model_validate({"use": "modernbert", "depth": 1, "width": 32, "heads": 2}).configure(61, 32)
    with pytest.raises(DataError, match="runs no modernbert as we write it; it does run llama, mistral, mixtral, gpt2"):
        architecture_of("modernbert", config, context=32)

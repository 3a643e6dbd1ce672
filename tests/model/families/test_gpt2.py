import pytest
import torch
from safetensors.torch import load_file, save_file

from whorl.core.errors import ConfigError, DataError
from whorl.model import checkpoint
from whorl.model.count import flops_per_token, parameters
from whorl.model.families import Family

GPT2 = Family.find("gpt2", frozenset())
PUBLIC = {
    "model_type": "gpt2",
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "resid_pdrop": 0.1,
}


def test_the_smallest_reads_as_published():
    config = GPT2.from_hub(PUBLIC)
    assert (config.width, config.mlp_width, config.head_dim, config.activation) == (768, 3072, 64, "gelu_tanh")
    assert (config.tied, config.positions, config.norm) == (True, "learned", "layer")
    assert parameters(config).total == 124_439_808


def test_flops_of_the_smallest_are_the_hand_worked_ones():
    # Multiply-adds of a layer: q k v o 4 * 768^2, up and down 8 * 768^2; attention 2 * 768 for each key, (1024 + 1) / 2.
    layer = 12 * 768**2 + 768 * 1025
    assert flops_per_token(GPT2.from_hub(PUBLIC), 1024) == 6 * (12 * layer + 50257 * 768)


def test_depth_six_is_the_hand_worked_shape():
    config = Family.model_validate({"use": "gpt2", "depth": 6}).configure(4096, 512)
    assert (config.width, config.heads, config.kv_heads, config.mlp_width) == (384, 6, 6, 1536)


def test_matrices_are_stored_turned_and_queries_keys_and_values_as_one(tiny, filled, tmp_path):
    model = filled(tiny("gpt2"))
    checkpoint.save(tmp_path, model, family="gpt2")
    public, attn = load_file(tmp_path / "model.safetensors"), model.blocks[1].attn
    joined = torch.cat([attn.q.weight, attn.k.weight, attn.v.weight])
    assert torch.equal(public["transformer.h.1.attn.c_attn.weight"], joined.T)
    assert torch.equal(public["transformer.h.1.attn.c_attn.bias"], torch.cat([attn.q.bias, attn.k.bias, attn.v.bias]))
    assert torch.equal(public["transformer.h.1.mlp.c_fc.weight"], model.blocks[1].mlp.up.weight.T)


def test_the_published_file_without_prefix_and_with_masks_is_read(tiny, filled, some_ids, tmp_path):
    model = filled(tiny("gpt2"))
    checkpoint.save(tmp_path, model, family="gpt2")
    public = load_file(tmp_path / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in public.items()}
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 32, 32) for layer in range(2)}
    save_file({**bare, **masks, "h.0.attn.masked_bias": torch.tensor(-1e4)}, tmp_path / "model.safetensors")
    assert torch.equal(checkpoint.load(tmp_path).model(some_ids(1, 6)), model(some_ids(1, 6)))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"scale_attn_weights": False}, "scale_attn_weights=False"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ({"add_cross_attention": True}, "add_cross_attention=True"),
        ({"activation_function": "quick_gelu"}, "activation_function='quick_gelu'"),
        ({"n_embd": "768"}, "n_embd='768'; want a whole number"),
        ({"n_head": 10}, "head_dim=76 with heads=10: GPT2LMHeadModel has no such thing"),
    ],
)
def test_what_the_network_cannot_do_is_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        GPT2.from_hub({**PUBLIC, **fields})


def test_grouped_queries_have_no_place(tiny):
    with pytest.raises(ConfigError, match="cannot hold kv_heads=2 with heads=4"):
        GPT2.to_hub(tiny("gpt2").model_copy(update={"kv_heads": 2}))

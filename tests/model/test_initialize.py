import torch

from whorl.core.seed import Seed
from whorl.model.transformer import Transformer


def drawn(config, seed=7):
    return dict(Transformer.fresh(config, Seed(seed)).named_parameters())


def test_equal_seeds_give_equal_weights_and_other_seeds_others(tiny):
    first, again, other = drawn(tiny()), drawn(tiny()), drawn(tiny(), seed=8)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embed.weight"], other["embed.weight"])


def test_an_added_block_moves_no_other_draw(tiny):
    two, three = drawn(tiny(depth=2)), drawn(tiny(depth=3))
    assert all(torch.equal(two[name], three[name]) for name in two)


def test_a_fresh_model_writes_nothing_into_the_residual_stream(tiny, some_ids):
    model = Transformer.fresh(tiny(), Seed(7))
    ids = some_ids(1, 5)
    torch.testing.assert_close(model(ids), model.norm(model.embed(ids)))


def test_matrices_have_the_asked_for_spread_and_norms_start_at_one(tiny):
    weights = drawn(tiny(init_std=0.5, zero_outputs=False))
    assert abs(weights["embed.weight"].std().item() - 0.5) < 0.05
    assert abs(weights["blocks.0.mlp.down.weight"].std().item() - 0.5) < 0.05
    assert torch.equal(weights["blocks.1.attn.q_norm.weight"], torch.ones(8))


def test_a_blank_model_has_memory_for_its_weights_and_values_for_its_tables(tiny):
    blank, built = Transformer.blank(tiny("qwen3_moe"), dtype=torch.bfloat16), Transformer(tiny("qwen3_moe"))
    assert [(name, tensor.shape) for name, tensor in blank.named_parameters()] == [
        (name, tensor.shape) for name, tensor in built.named_parameters()
    ]
    assert {parameter.dtype for parameter in blank.parameters()} == {torch.bfloat16}
    assert not any(tensor.is_meta for tensor in [*blank.parameters(), *blank.buffers()])
    tables = dict(built.named_buffers())
    assert tables
    assert all(
        torch.equal(tensor, tables[name]) and tensor.dtype is tables[name].dtype for name, tensor in blank.named_buffers()
    )
    assert list(blank.state_dict()) == list(built.state_dict())


def test_a_balancing_bias_is_a_weight_of_the_file_and_starts_at_zero(tiny):
    config = tiny("qwen3_moe").model_copy(update={"balance": "bias"})
    fresh = Transformer.fresh(config, Seed(7))
    biases = {name: tensor for name, tensor in fresh.state_dict().items() if name.endswith("router.bias")}
    assert len(biases) == 2
    assert not any(tensor.any() for tensor in biases.values())

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

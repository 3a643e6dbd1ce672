"""Laws of the one forward pass, for every family."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_mixers import in_pieces
from toy_models import CAUSAL

from whorl.core.seed import Seed
from whorl.model.config import ModelConfig
from whorl.model.cross_entropy import chunked_cross_entropy
from whorl.model.families import Family
from whorl.model.mask import PADDING, MaskSpec
from whorl.model.transformer import Transformer

NEAR = {"atol": 1e-5, "rtol": 1e-5}  # float32 sums in another order
every_family = pytest.mark.parametrize("family", Family.names())
every_causal_family = pytest.mark.parametrize("family", CAUSAL)


def test_the_families_that_decode_are_known():
    assert set(CAUSAL) == set(Family.names()) - {"bert", "modernbert"}


@every_causal_family
@pytest.mark.parametrize("backend", ["sdpa", "matmul"])
def test_a_token_changes_nothing_before_it(family, backend, tiny, filled, some_ids):
    model = filled(tiny(family))
    model.backend = backend
    ids = some_ids(2, 9)
    changed = ids.clone()
    changed[:, 5] = (ids[:, 5] + 1) % 61
    before, after = model(ids), model(changed)
    # To the bit, except that experts multiply as many rows at once as tokens chose them.
    torch.testing.assert_close(before[:, :5], after[:, :5], **(NEAR if model.config.experts else {"atol": 0, "rtol": 0}))
    assert not torch.isclose(before[:, 5:], after[:, 5:]).all(dim=-1).any()


@every_causal_family
@pytest.mark.parametrize("pieces", [[1] * 8, [3, 1, 4], [8]])
def test_cached_decoding_equals_the_full_pass(family, pieces, tiny, filled, some_ids):
    model, ids = filled(tiny(family)), some_ids(3, 8)
    torch.testing.assert_close(in_pieces(model, ids.split(pieces, dim=1)), model(ids), **NEAR)


@every_family
def test_batch_rows_do_not_see_each_other(family, tiny, filled, some_ids):
    model, ids = filled(tiny(family)), some_ids(4, 6)
    alone = torch.cat([model(ids[row : row + 1]) for row in range(4)])
    torch.testing.assert_close(model(ids), alone, **NEAR)


@every_family
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_packed_documents_equal_documents_alone(family, tiny, filled, some_ids, lengths):
    model, ids = filled(tiny(family)), some_ids(1, sum(lengths))
    docs = torch.cat([torch.full((length,), number) for number, length in enumerate(lengths)]).unsqueeze(0)
    positions = torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0)
    packed = model(ids, mask=MaskSpec(docs=docs), positions=positions)
    alone = torch.cat([model(part) for part in ids.split(lengths, dim=1)], dim=1)
    torch.testing.assert_close(packed, alone, **NEAR)


@every_family
def test_padding_to_the_right_changes_nothing(family, tiny, filled, some_ids):
    model, ids = filled(tiny(family)), some_ids(2, 8)
    docs = torch.zeros_like(ids).index_fill(1, torch.tensor([6, 7]), PADDING)
    torch.testing.assert_close(model(ids, mask=MaskSpec(docs=docs))[:, :6], model(ids[:, :6]), **NEAR)


def loss_and_gradients(model, ids):
    model.zero_grad()
    hidden = model.before_head(model(ids[:, :-1])).flatten(0, 1)
    targets, weights = ids[:, 1:].flatten(), torch.ones(ids[:, 1:].numel())
    loss = chunked_cross_entropy(hidden, model.head_weight, targets=targets, weights=weights, bias=model.head_bias).total
    loss.backward()
    return [loss.detach(), *[parameter.grad.clone() for parameter in model.parameters()]]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradients_repeat_to_the_bit(threads, dtype, some_ids):
    config = Family.model_validate({"use": "qwen3", "depth": 2, "width": 128, "heads": 2}).configure(61, 64)
    model = Transformer.fresh(config, Seed(0))
    model.compute_dtype = dtype
    ids = some_ids(8, 33)
    torch.set_num_threads(threads)
    try:
        runs = [loss_and_gradients(model, ids) for _ in range(3)]
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))


@every_family
@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_has_a_gradient_equal_to_its_finite_difference(family, tied, tiny, filled, some_ids):
    config = tiny(family, tied=tied, activation="silu")
    # Every expert is chosen: a choice that flips between the two points would make the loss jump.
    model, ids = filled(config.model_copy(update={"experts_per_token": config.experts})), some_ids(2, 9)
    grads = dict(zip([name for name, _ in model.named_parameters()], loss_and_gradients(model, ids)[1:], strict=True))
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name)))
        direction /= direction.norm()
        losses = []
        for step in (1e-2, -1e-2):
            with torch.no_grad():
                parameter.add_(direction, alpha=step)
            losses.append(loss_and_gradients(model, ids)[0])
            with torch.no_grad():
                parameter.add_(direction, alpha=-step)
        slope = (losses[0] - losses[1]) / 2e-2
        # Float32 losses of about 60 nats divided by 2e-2 leave 1e-3 of rounding; the rest is curvature.
        torch.testing.assert_close(slope, (grads[name] * direction).sum(), atol=2e-2, rtol=2e-2, msg=name)


def test_bf16_follows_float32(tiny, filled, some_ids):
    model, ids = filled(tiny()), some_ids(2, 16)
    exact = model(ids)
    model.compute_dtype = torch.bfloat16
    found = model(ids)
    assert found.dtype is torch.bfloat16
    assert torch.nn.functional.cosine_similarity(found.float().flatten(), exact.flatten(), dim=0) > 0.999
    assert all(parameter.dtype is torch.float32 for parameter in model.parameters())


def test_an_ungated_two_way_network_is_the_same_module_with_other_axes(some_ids):
    config = ModelConfig(
        vocab_size=61,
        width=24,
        depth=1,
        heads=3,
        kv_heads=3,
        head_dim=8,
        mlp_width=32,
        max_positions=16,
        gated=False,
        causal=False,
    )
    model = Transformer.fresh(config.model_copy(update={"zero_outputs": False}), Seed(3))
    ids = some_ids(1, 6)
    changed = ids.clone()
    changed[:, 5] = (ids[:, 5] + 1) % 61
    assert not torch.equal(model(ids)[:, 0], model(changed)[:, 0])
    assert "blocks.0.mlp.gate.weight" not in dict(model.named_parameters())

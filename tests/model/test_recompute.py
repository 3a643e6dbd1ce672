"""Forgetting activations changes memory and time, never a bit of a gradient."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from whorl.model.cross_entropy import chunked_cross_entropy
from whorl.model.mask import MaskSpec
from whorl.model.recompute import recompute
from whorl.model.router import Router, balanced, side_loss

MODES = ("selective", "full")
DOCS = torch.tensor([[0] * 5 + [1] * 9 + [-1] * 2, [0] * 16])
FAMILIES = [
    ("llama", {}),
    ("qwen3", {"activation": "relu2"}),
    ("qwen3", {"norm": "layer", "norm_at": "post", "positions": "learned", "causal": False, "windows": (None, 4)}),
    ("llama", {"norm_at": "output", "qk_norm": "all", "gated": False}),
]
SHAPES = [(family, backend, axes) for family, axes in FAMILIES for backend in ("sdpa", "matmul")]


def built(tiny, filled, family="llama", backend="auto", **axes):
    model = filled(tiny(family).model_copy(update=axes))
    model.backend = backend
    model.set_dropout(0.2)
    return model.train()


def step(model, ids):
    """One summed loss and every gradient, with dropout drawn from a fixed seed."""
    docs = DOCS.repeat(len(ids) // 2, 1)
    torch.manual_seed(11)
    model.zero_grad(set_to_none=True)
    hidden = model(ids, mask=MaskSpec(docs=docs)).flatten(0, 1)
    weights = (docs >= 0).float().flatten()
    loss = chunked_cross_entropy(model.before_head(hidden), model.head_weight, targets=ids.flatten(), weights=weights).total
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in model.named_parameters()}


def same_bits(first, second):
    assert torch.equal(first[0], second[0])
    assert first[1].keys() == second[1].keys()
    for name, gradient in first[1].items():
        assert torch.equal(gradient, second[1][name]), name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_none_to_the_bit_with_dropout_on(tiny, filled, some_ids, mode, shape):
    family, backend, axes = shape
    model, ids = built(tiny, filled, family, backend, **axes), some_ids(2, 16)
    wanted = step(model, ids)
    recompute(model, mode)
    same_bits(wanted, step(model, ids))


@pytest.mark.parametrize("mode", MODES)
def test_in_bf16_too(tiny, filled, some_ids, mode):
    model, ids = built(tiny, filled), some_ids(8, 16)  # enough for the products of model/maps
    model.compute_dtype = torch.bfloat16
    wanted = step(model, ids)
    recompute(model, mode)
    same_bits(wanted, step(model, ids))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_routers_losses_and_loads_are_counted_once(tiny, filled, some_ids, mode, family):
    model, ids = filled(tiny(family)).train(), some_ids(2, 16)
    routers = [module for module in model.modules() if isinstance(module, Router)]
    found = []
    for way in ("none", mode):
        recompute(model, way)
        model.zero_grad(set_to_none=True)
        for router in routers:
            router.listen()
        hidden = model(ids, mask=MaskSpec(docs=DOCS))
        (hidden.sum() + 10 * side_loss(routers, DOCS >= 0)).backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
        found.append((balanced(routers), gradients))
    same_bits(*found)


def test_dropout_is_really_on_in_these_tests(tiny, filled, some_ids):
    model, ids = built(tiny, filled), some_ids(2, 16)
    wet = step(model, ids)
    model.set_dropout(0.0)
    assert not torch.equal(wet[0], step(model, ids)[0])


@pytest.mark.parametrize("mode", MODES)
def test_names_stay_and_the_way_back_is_open(tiny, filled, some_ids, mode):
    model, ids = built(tiny, filled), some_ids(2, 16)
    names, plain = list(model.state_dict()), Products.of(model, ids)
    recompute(model, mode)
    recompute(model, mode)  # twice is once
    assert list(model.state_dict()) == names
    recompute(model, "none")
    assert Products.of(model, ids) == plain


@pytest.mark.parametrize("mode", MODES)
def test_a_copy_of_the_model_runs_its_own_blocks(tiny, filled, some_ids, mode):
    model, ids = built(tiny, filled), some_ids(2, 16)
    recompute(model, mode)
    before = step(model, ids)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    same_bits(before, step(twin, ids))


class Products(TorchDispatchMode):
    """Counts products of matrices."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += str(func) in ("aten.mm.default", "aten.addmm.default")
        return func(*args, **(kwargs or {}))

    @classmethod
    def of(cls, model, ids):
        with cls() as seen:
            step(model, ids)
        return seen.count


def test_selective_makes_no_product_with_a_weight_twice_and_full_makes_them_all_but_the_last(tiny, filled, some_ids):
    model, ids = built(tiny, filled), some_ids(2, 16)
    model.set_dropout(0.0)  # its mask is drawn after the last product, which would have to be made again for it
    counts = {}
    for mode in ("none", *MODES):
        recompute(model, mode)
        counts[mode] = Products.of(model, ids)
    assert counts["selective"] == counts["none"]
    per_block = 4 - 1  # q k v at once, o, gate and up at once, down; nothing's gradient needs what down gave
    assert counts["full"] == counts["none"] + per_block * len(model.blocks)


def kept_bytes(model, ids):
    """Bytes that autograd keeps between forward and backward, each storage once."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        hidden = model(ids)
    del hidden
    return sum(kept.values())


def test_full_keeps_less_than_none(tiny, filled, some_ids):
    model, ids = built(tiny, filled), some_ids(2, 16)
    plain = kept_bytes(model, ids)
    recompute(model, "full")
    assert kept_bytes(model, ids) < plain / 2


@pytest.mark.parametrize("mode", MODES)
def test_without_gradients_nothing_is_kept_or_computed_again(tiny, filled, some_ids, mode):
    model, ids = built(tiny, filled).eval(), some_ids(2, 16)
    with torch.no_grad():
        wanted = model(ids)
        recompute(model, mode)
        assert torch.equal(model(ids), wanted)

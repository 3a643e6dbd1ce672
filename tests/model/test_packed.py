"""Models that read packed weights: close to the plain model, its experts and output matrix too; what falls back is told."""

import pytest
import torch
from toy_models import filled_model, tiny_config

from whorl.core.errors import ConfigError
from whorl.core.seed import Seed
from whorl.model.packed import pack, pack_fault, packed_bytes
from whorl.model.transformer import Transformer

WIDE = {"width": 128, "heads": 4, "head_dim": 32, "kv_heads": 2, "mlp_width": 256}
BF16 = torch.bfloat16


def packed(model, weights):
    twin = model.twin()
    return twin, pack(twin, weights)


def logprobs(model, ids):
    with torch.no_grad():
        return model.logits(model(ids)).log_softmax(-1)


def divergence(exact, found):
    """Mean Kullback-Leibler divergence of a token's distribution, nats."""
    return (exact.exp() * (exact - found)).sum(-1).mean().item()


# The measured divergences of a 40 M random model with int8 rows and int4 groups of 32 are 1e-4 and 9e-3.
@pytest.mark.parametrize(("weights", "room"), [("bf16", 1e-6), ("int8", 1e-4), ("int4", 1e-2)])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_packed_model_says_nearly_the_same(weights, room, family, some_ids):
    dials = WIDE if family == "llama" else {"width": 128, "heads": 4, "mlp_width": 256}
    model, ids = Transformer.fresh(tiny_config(family, **dials), Seed(3)), some_ids(4, 30)
    twin, packing = packed(model, weights)
    assert packing.fallen == ()
    found = logprobs(twin, ids)
    assert found.dtype is torch.float32
    assert 0 < divergence(logprobs(model, ids), found) < room


@pytest.mark.parametrize("weights", ["bf16", "int8"])
@pytest.mark.parametrize("family", ["qwen3_moe", "qwen2_moe", "mixtral", "dots1"])
def test_packed_experts_are_the_experts(weights, family, some_ids):
    model, ids = filled_model(tiny_config(family)), some_ids(2, 20)
    twin, packing = packed(model, weights)
    assert packing.num_packed > model.config.depth * model.config.experts
    exact = logprobs(model, ids)
    # A toy's weights are large, and so is what rounding does: the plain model in bfloat16 is as far off.
    assert divergence(exact, logprobs(twin, ids)) < {"bf16": 2e-3, "int8": 2e-2}[weights]


def test_packing_equals_the_plain_model_on_the_rounded_weights(some_ids):
    model, ids = filled_model(tiny_config("llama")), some_ids(2, 20)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(BF16).float()
    twin, _ = packed(model, "bf16")
    torch.testing.assert_close(logprobs(twin, ids), logprobs(model, ids), atol=1e-5, rtol=1e-5)


def test_as_is_packs_nothing(some_ids):
    model, ids = filled_model(tiny_config("llama")), some_ids(2, 20)
    twin, packing = packed(model, "as_is")
    assert packing.num_packed == 0
    assert torch.equal(logprobs(twin, ids), logprobs(model, ids))


@pytest.mark.parametrize(("dtype", "wanted"), [(torch.float32, "fp32"), (BF16, "bf16"), (torch.float64, "as_is")])
def test_auto_is_what_the_model_computes_in(dtype, wanted):
    model = filled_model(tiny_config("llama"))
    model.compute_dtype = dtype
    chosen, num_packed, fallen = packed(model, "auto")[1]
    assert (chosen, num_packed > 0, fallen) == (wanted, wanted != "as_is", ())


def test_what_was_packed_is_let_go_and_the_model_keeps_its_own(some_ids):
    model = filled_model(tiny_config("llama", tied=False))
    before = logprobs(model, some_ids(1, 9))
    twin, _ = packed(model, "int8")
    held = {name: parameter.untyped_storage().nbytes() for name, parameter in twin.named_parameters() if parameter.ndim == 2}
    assert {name for name, size in held.items() if size > 4} == {"embed.weight"}
    assert twin.blocks[0].attn.q.weight.shape == model.blocks[0].attn.q.weight.shape
    assert torch.equal(logprobs(model, some_ids(1, 9)), before)


def test_a_matrix_that_does_not_fit_is_told_and_packed_in_bfloat16(some_ids):
    model = filled_model(tiny_config("llama"))  # rows of 24
    twin, packing = packed(model, "int4")
    assert len(packing.fallen) == packing.num_packed
    assert packing.fallen[0].startswith("blocks.0.attn: rows of 24 numbers; int4 wants")
    other, _ = packed(model, "bf16")
    assert torch.equal(logprobs(twin, some_ids(1, 9)), logprobs(other, some_ids(1, 9)))


def test_logits_are_exact_sums_of_what_the_model_computed_in_bfloat16():
    model = filled_model(tiny_config("llama", **WIDE))
    model.compute_dtype = BF16
    twin, _ = packed(model, "bf16")
    hidden = torch.randn(3, 128, generator=torch.Generator().manual_seed(0)).to(BF16)
    exact = hidden.double() @ model.head_weight.to(BF16).double().T
    torch.testing.assert_close(twin.logits(hidden).double(), exact, atol=1e-5, rtol=1e-5)


def test_bytes_of_a_token_by_hand():
    config = tiny_config("llama", tied=False)
    width, mlp, vocab = 24, 40, 61
    matrices = config.depth * (width * (4 + 2 + 2) * 8 + 4 * 8 * width + 3 * width * mlp) + vocab * width
    norms = (2 * config.depth + 1) * width * 4
    model = filled_model(config)
    assert packed_bytes(model) == 4 * matrices + norms + 4 * width
    assert packed_bytes(packed(model, "bf16")[0]) == 2 * matrices + norms + 4 * width
    tied = filled_model(tiny_config("llama"))
    assert packed_bytes(tied) == packed_bytes(model)  # the embedding is read whole as the output matrix


def test_experts_nobody_asks_are_not_counted():
    few, many = (filled_model(tiny_config("mixtral", experts=experts)) for experts in (4, 8))
    router = 4 * 24 * few.config.depth * 4  # four more rows of each
    for weights in ("as_is", "bf16"):
        assert packed_bytes(packed(many, weights)[0]) == packed_bytes(packed(few, weights)[0]) + router


def test_what_a_device_cannot_do_is_said():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [pack_fault(weights, cpu) for weights in ("as_is", "bf16", "int8", "int4")] == [""] * 4
    assert "want a CUDA GPU" in pack_fault("fp8", cpu)
    assert "want the CPU" in pack_fault("int8", gpu)
    with pytest.raises(ConfigError, match="weights=fp8: the model is on 'cpu'"):
        pack(filled_model(tiny_config("llama")).twin(), "fp8")

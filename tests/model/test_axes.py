"""Laws of the one forward pass over architectures that no family has named: any axes that fit together."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_mixers import in_pieces

from whorl.model.config import ModelConfig
from whorl.model.count import parameters
from whorl.model.mask import MaskSpec

NEAR = {"atol": 2e-5, "rtol": 2e-5}  # float32 sums in another order
WINDOWS = st.sampled_from([(), (3, None), (None, 2), (4, 4)])


@st.composite
def configs(draw):
    """Two blocks of any kind, over 61 ids and 32 positions."""
    norm = draw(st.sampled_from(["rms", "layer"]))
    norm_at = draw(st.sampled_from(["pre", "post", "output"]))
    booleans = ["gated", "mlp_bias", "embed_norm", "final_norm", "attn_bias", "out_bias", "tied", "head_transform", "head_bias"]
    return ModelConfig(
        vocab_size=61,
        width=24,
        depth=2,
        heads=4,
        kv_heads=draw(st.sampled_from([1, 2, 4])),
        head_dim=8,
        mlp_width=40,
        max_positions=32,
        activation=draw(st.sampled_from(["silu", "relu", "relu2", "gelu", "gelu_tanh"])),
        norm=norm,
        norm_at=norm_at,
        norm_bias=norm == "layer" and draw(st.booleans()),
        first_norm=norm_at != "pre" or draw(st.booleans()),
        qk_norm=draw(st.sampled_from(["none", "head", "all"])),
        windows=draw(WINDOWS),
        local_theta=draw(st.sampled_from([None, 100.0])),
        positions=draw(st.sampled_from(["rotary", "learned"])),
        segments=draw(st.sampled_from([0, 2])),
        causal=draw(st.booleans()),
        **{name: draw(st.booleans()) for name in booleans},
    )


@given(config=configs())
def test_counted_parameters_are_those_of_the_built_model(config, filled):
    assert parameters(config).total == sum(parameter.numel() for parameter in filled(config).parameters())


@given(config=configs(), lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_packed_documents_equal_documents_alone(config, filled, some_ids, lengths):
    model, ids = filled(config), some_ids(1, sum(lengths))
    docs = torch.cat([torch.full((length,), number) for number, length in enumerate(lengths)]).unsqueeze(0)
    positions = torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0)
    packed = model.head(model(ids, mask=MaskSpec(docs=docs), positions=positions))
    alone = torch.cat([model.head(model(part)) for part in ids.split(lengths, dim=1)], dim=1)
    torch.testing.assert_close(packed, alone, **NEAR)


@given(config=configs().filter(lambda config: config.causal), cut=st.integers(1, 7))
def test_cached_decoding_equals_the_full_pass(config, filled, some_ids, cut):
    model, ids = filled(config), some_ids(2, 8)
    torch.testing.assert_close(in_pieces(model, (ids[:, :cut], ids[:, cut:])), model(ids), **NEAR)


@given(config=configs())
def test_every_parameter_is_reached_by_the_loss(config, filled, some_ids):
    model = filled(config)
    segments = torch.arange(8).remainder(2).expand(2, -1) if config.segments else None
    logits = model.head(model(some_ids(2, 8), segments=segments))
    logits.logsumexp(dim=-1).sum().backward()
    unreached = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not unreached


def test_a_window_limits_sight_layer_by_layer(filled, some_ids):
    def seen_by_last(windows):
        shape = {"vocab_size": 61, "width": 24, "depth": 2, "heads": 2, "kv_heads": 2, "head_dim": 8, "mlp_width": 40}
        model = filled(ModelConfig(**shape, max_positions=32, windows=windows))
        ids = some_ids(1, 8)
        last = model(ids)[0, -1]
        changed = []
        for column in range(8):
            other = ids.clone()
            other[0, column] = (ids[0, column] + 1) % 61
            changed.append(not torch.equal(model(other)[0, -1], last))
        return changed

    assert seen_by_last((2, 2)) == [False] * 5 + [True] * 3
    assert seen_by_last((2, 4)) == [False] * 3 + [True] * 5
    assert seen_by_last((2, None)) == [True] * 8

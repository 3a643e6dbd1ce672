import pytest
import torch
from toy_models import filled_model, tiny_config

from whorl.core.errors import ConfigError, DataError
from whorl.model.count import parameters
from whorl.model.families import Family
from whorl.model.transformer import Transformer

MODERNBERT = Family.find("modernbert", frozenset())
# As the files on the hub say it: a pattern as a number, and thetas in fields of their own.
BASE = {
    "model_type": "modernbert",
    "architectures": ["ModernBertForMaskedLM"],
    "vocab_size": 50368,
    "hidden_size": 768,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "intermediate_size": 1152,
    "hidden_activation": "gelu",
    "classifier_activation": "gelu",
    "max_position_embeddings": 8192,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "local_rope_theta": 10000.0,
    "local_attention": 128,
    "norm_eps": 1e-5,
    "norm_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "decoder_bias": True,
    "classifier_bias": False,
    "classifier_pooling": "mean",
    "position_embedding_type": "absolute",
}


def test_modernbert_base_reads_as_published():
    config = MODERNBERT.from_hub(BASE)
    assert (config.width, config.depth, config.heads, config.mlp_width) == (768, 22, 12, 1152)
    assert config.windows == tuple(65 if layer % 3 else None for layer in range(22))
    assert (config.view(0).theta, config.view(1).theta) == (160_000.0, 10_000.0)
    assert (config.norm_at, config.first_norm, config.embed_norm, config.gated) == ("pre", False, True, True)
    # 38,682,624 embedded; 21 norms less than 2 a block; 22 blocks of 4 and 4.5 widths squared; head 589,824 + 768 + 50,368
    blocks = 22 * (4 + 4.5) * 768**2 + (22 * 2 - 1 + 2) * 768
    assert parameters(config).total == 38_682_624 + blocks + 589_824 + 768 + 50_368


def test_the_window_is_half_to_each_side_and_the_own_place():
    """local_attention 6: |i - j| <= 3; layers 1 and 2 of the toy look so, and what is further away changes nothing there."""
    config = tiny_config("modernbert", global_every=9, depth=2)
    assert config.windows == (None, 4)
    model, ids = filled_model(config), torch.arange(10, 30)[None]
    block = model.blocks[1]
    seen = []
    block.attn.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0].clone(), out.clone())))
    model(ids)

    def bumped(module, inputs):
        x = inputs[0].clone()
        x[0, 10] += 1.0
        return (x, *inputs[1:])

    block.attn.register_forward_pre_hook(bumped)
    model(ids)
    moved = (seen[0][1] - seen[1][1]).abs().sum(dim=-1)[0] > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(7, 14))


def test_twelve_layers_are_the_hand_worked_shape():
    config = Family.model_validate({"use": "modernbert", "depth": 12}).configure(4096, 512)
    assert (config.width, config.heads, config.mlp_width) == (768, 12, 1152)
    assert [layer for layer, window in enumerate(config.windows) if window is None] == [0, 3, 6, 9]


def test_classes_take_the_place_of_the_vocabulary():
    config = tiny_config("modernbert", classes=3)
    assert (config.head_bias, config.head_transform, config.pooler, config.tied) == (False, True, "mean", True)
    fields = MODERNBERT.to_hub(config)
    assert fields["architectures"] == ["ModernBertForSequenceClassification"]
    assert (len(fields["id2label"]), fields["classifier_pooling"]) == (3, "mean")
    assert tiny_config("modernbert", classes=3, tied=False).tied, "there is no output matrix to tie"


def test_new_files_say_the_pattern_layer_by_layer():
    kinds = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    ropes = {"full_attention": {"rope_type": "default", "rope_theta": 7e4}, "sliding_attention": {"rope_theta": 5e3}}
    old = {"global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"}
    fields = {name: value for name, value in BASE.items() if name not in old}
    config = MODERNBERT.from_hub({**fields, "num_hidden_layers": 4, "layer_types": kinds, "rope_parameters": ropes})
    assert config.windows == (None, 65, 65, None)
    assert (config.rope_theta, config.local_theta) == (7e4, 5e3)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"classifier_activation": "relu"}, "classifier_activation='relu' is not supported with hidden_activation='gelu'"),
        ({"layer_types": ["full_attention"] * 3}, "want 22 of sliding_attention and full_attention"),
        ({"layer_types": ["chunked"] * 22}, "want 22 of sliding_attention and full_attention"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_type='yarn'"),
        ({"architectures": ["ModernBertForQuestionAnswering"]}, "known: ModernBertForMaskedLM"),
        ({"architectures": ["ModernBertForSequenceClassification"], "classifier_pooling": "max"}, "classifier_pooling='max'"),
        ({"hidden_size": 770}, "num_attention_heads=12 do not fill hidden_size=770"),
    ],
)
def test_what_the_network_cannot_do_is_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        MODERNBERT.from_hub({**BASE, **fields})


@pytest.mark.parametrize(
    ("axes", "hint"),
    [
        ({"windows": (None, 4, 5, None)}, r"windows=\(None, 4, 5, None\)"),
        ({"attn_bias": True}, "out_bias=False with attn_bias=True"),
        ({"segments": 2}, "segments=2"),
        ({"pooler": "mean"}, "pooler=mean with classes=0"),
        ({"classes": 2, "pooler": "mean"}, "head_bias=True, tied=True with classes=2"),
        ({"kv_heads": 2}, "kv_heads=2 with heads=4"),
    ],
)
def test_axes_the_layout_cannot_hold_are_refused(axes, hint):
    config = tiny_config("modernbert").model_copy(update=axes)
    with pytest.raises(ConfigError, match=f"the modernbert layout cannot hold {hint}; no family"):
        MODERNBERT.to_hub(config)


def test_the_count_is_that_of_the_model():
    for dials in ({}, {"tied": False}, {"classes": 7}):
        config = tiny_config("modernbert", **dials)
        assert parameters(config).total == sum(p.numel() for p in Transformer(config).parameters())

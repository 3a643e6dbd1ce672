import pytest
from toy_models import tiny_config

from whorl.core.errors import ConfigError, DataError
from whorl.model.encoder import class_fields, head_axes, head_clash, num_classes, stated_heads, with_bias


def test_heads_are_64_channels_wide_unless_their_number_is_given():
    assert head_axes(384, None) == {"heads": 6, "kv_heads": 6, "head_dim": 64}
    assert head_axes(100, 5) == {"heads": 5, "kv_heads": 5, "head_dim": 20}
    with pytest.raises(ConfigError, match="width=100 is not a multiple of heads=3"):
        head_axes(100, 3)


def test_a_config_json_must_state_heads_that_fill_the_width():
    stated = {"width": 12, "heads": 4, "kv_heads": 4, "head_dim": 3}
    assert stated_heads({"hidden_size": 12, "num_attention_heads": 4}) == stated
    for heads in (5, 0, None):
        with pytest.raises(DataError, match="num_attention_heads"):
            stated_heads({"hidden_size": 12, "num_attention_heads": heads})


def test_classes_are_counted_by_their_names_and_are_two_where_nothing_is_said():
    assert num_classes(class_fields(3)) == 3
    assert (num_classes({}), num_classes({"num_labels": 5}), num_classes({"id2label": {"0": "yes"}})) == (2, 5, 1)


def test_heads_that_share_keys_or_leave_channels_over_clash():
    config = tiny_config("bert")
    assert head_clash(config) is None
    assert head_clash(config.model_copy(update={"kv_heads": 2})) == "kv_heads=2 with heads=4"
    assert head_clash(config.model_copy(update={"head_dim": 8})) == "head_dim=8 with heads=4 and width=24"


def test_modules_have_a_weight_and_a_bias():
    assert with_bias({"norm": "final"}) == {"norm.weight": "final.weight", "norm.bias": "final.bias"}

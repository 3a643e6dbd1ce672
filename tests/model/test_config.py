import pytest
from pydantic import ValidationError

from whorl.model.config import ModelConfig

AXES = {
    "vocab_size": 61,
    "width": 24,
    "depth": 2,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 8,
    "mlp_width": 40,
    "max_positions": 32,
}


def test_heads_that_do_not_share_keys_evenly_are_refused():
    with pytest.raises(ValidationError, match="heads=4 is not a multiple of kv_heads=3"):
        ModelConfig(**{**AXES, "kv_heads": 3})


def test_an_odd_head_is_refused_because_channels_turn_in_pairs():
    with pytest.raises(ValidationError, match="head_dim=7"):
        ModelConfig(**{**AXES, "head_dim": 7})


def test_an_unknown_axis_names_the_nearest_one():
    with pytest.raises(ValidationError, match="did you mean 'kv_heads'"):
        ModelConfig(**AXES, kv_head=2)

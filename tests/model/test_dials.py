import pytest

from whorl.core.errors import ConfigError
from whorl.model.dials import head_dim_for, heads_for, mlp_width_for, width_for


def test_depth_alone_gives_the_hand_worked_shape():
    assert (width_for(6), head_dim_for(384), heads_for(384, 64), mlp_width_for(384)) == (384, 64, 6, 1024)


def test_feed_forward_width_is_rounded_up_never_down():
    assert [mlp_width_for(width) for width in (64, 128, 192)] == [192, 384, 512]


def test_wide_models_get_wide_heads():
    assert (head_dim_for(1023), head_dim_for(1024)) == (64, 128)


def test_width_that_heads_cannot_fill_is_refused():
    with pytest.raises(ConfigError, match="width=100 is not a multiple of head_dim=64"):
        heads_for(100, 64)

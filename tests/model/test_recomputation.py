import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from whorl.model.config import ModelConfig
from whorl.model.count import flops_per_token
from whorl.model.recomputation import Recompute, recomputed_flops_per_token
from whorl.model.recompute import recompute
from whorl.model.transformer import Transformer

# Attention over everything: torch counts the products of hidden keys too.
CONFIG = ModelConfig(
    vocab_size=61, width=24, depth=3, heads=4, kv_heads=2, head_dim=8, mlp_width=40, max_positions=16, causal=False
)


def counted(mode: Recompute, backend: str = "matmul") -> float:
    """Operations per token of a forward and backward pass, as torch counts them while they are done."""
    model, ids = Transformer(CONFIG), torch.zeros(2, 16, dtype=torch.int64)
    model.backend = backend
    recompute(model, mode)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(model.head(model(ids)).sum())
    return counter.get_total_flops() / ids.numel()


def test_without_recomputation_nothing_is_added():
    assert recomputed_flops_per_token(CONFIG, 16, "none") == recomputed_flops_per_token(CONFIG, 16, "selective") == 0
    norms = 2 * CONFIG.width * (2 * CONFIG.depth + 1)  # the gradient of a norm's weights is summed by a product
    assert counted("none") == flops_per_token(CONFIG, 16) + norms


def test_full_recomputation_adds_what_torch_counts_when_every_block_runs_again():
    added = counted("full") - counted("none")
    # Early stopping leaves out a block's last product: nothing needs its result. We charge the whole block.
    down = 2 * CONFIG.width * CONFIG.mlp_width * CONFIG.depth
    assert recomputed_flops_per_token(CONFIG, 16, "full") - added in (pytest.approx(0), pytest.approx(down))


def test_selective_recomputation_adds_the_products_of_attention_where_it_is_written_out():
    added = counted("selective") - counted("none")
    assert recomputed_flops_per_token(CONFIG, 16, "selective", writes_out_attention=True) == pytest.approx(added)
    assert added > 0


@pytest.mark.parametrize("head", [{}, {"head_transform": True, "norm": "layer"}])
def test_the_head_is_not_computed_again(head):
    config = CONFIG.model_copy(update=head)
    wide = config.model_copy(update={"vocab_size": 6100})
    assert recomputed_flops_per_token(config, 16, "full") == recomputed_flops_per_token(wide, 16, "full")
    plain = recomputed_flops_per_token(CONFIG, 16, "full")
    assert recomputed_flops_per_token(config, 16, "full") == plain

"""Random numbers in bfloat16, and what formulas make of them in float32."""

import torch

BF16 = torch.bfloat16
ROUNDING = 2.0**-8  # of one number to bfloat16, relative


def drawn(*shape, seed=0, scale=1.0):
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale).to(BF16)


def exact_gradients(formula, leaves, slopes):
    """The value and its gradients by the leaves, all float32."""
    wide = [leaf.float().requires_grad_() for leaf in leaves]
    out = formula(*wide)
    return out.detach(), torch.autograd.grad(out, wide, slopes)


def assert_near(found, exact, *, off_most=1e-5, off=0.0):
    """Within one rounding of each number, with room for float32's own error near 0: `off_most` of the largest, and `off`."""
    assert found.dtype in (BF16, torch.float32)
    away = (found.float() - exact).abs()
    assert (away <= 1.02 * ROUNDING * exact.abs() + off_most * exact.abs().max() + off).all(), away.max()

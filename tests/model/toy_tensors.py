"""Random numbers in bfloat16, and what formulas make of them in float32."""

import torch

BF16 = torch.bfloat16
ROUNDING = 2.0**-8  # of one number to bfloat16, relative


def drawn(*shape, seed=0, scale=1.0, dtype=BF16):
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale).to(dtype)


def passed(compute, leaves):
    """What is computed, a tensor or several, and the gradient of each leaf."""
    for leaf in leaves:
        leaf.grad = None
    out = compute()
    outs = [out] if isinstance(out, torch.Tensor) else [*out]
    torch.autograd.backward(outs, [drawn(*one.shape, seed=9) for one in outs])
    return [*outs, *(leaf.grad for leaf in leaves)]


def assert_same_bits(compute, leaves, wanted):
    """Values and gradients are those that were passed elsewhere, whatever the number of threads."""
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found = passed(compute, leaves)
        torch.set_num_threads(1)
        assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True)), threads


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

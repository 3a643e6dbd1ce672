"""model/initialize: starting weights: normal matrices, and zeros where a block writes into the residual stream.

Each parameter draws from a seed of its own name, so adding a layer or sharding the model moves no other draw. Does not
rescale with depth: with zero outputs every block starts as the identity.
"""

import torch
from torch import nn

from whorl.core.seed import Seed
from whorl.model.config import ModelConfig

__all__ = ["allocate", "initialize"]

OUTPUTS = ("attn.o.weight", "mlp.down.weight", "mlp.downs", "mlp.shared.down.weight")


@torch.no_grad()
def initialize(model: nn.Module, config: ModelConfig, *, seed: Seed) -> None:
    """Draw every matrix from N(0, init_std); norm weights become one, biases zero."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.ndim < 2:
            parameter.fill_(1.0)
        elif config.zero_outputs and name.endswith(OUTPUTS):
            parameter.zero_()
        else:
            generator = torch.Generator().manual_seed(seed.child(name).number)
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, config.init_std, generator=generator))


def allocate(model: nn.Module, *, dtype: torch.dtype, device: str) -> None:
    """Give a model built on the meta device its memory: parameters in `dtype` and unset, buffers zero in their own dtype.

    Buffers that hold values already, such as rotary tables, only move.
    """
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            empty = torch.empty(parameter.shape, dtype=dtype, device=device)
            module.register_parameter(name, nn.Parameter(empty, requires_grad=parameter.requires_grad))
        kept = module.state_dict(keep_vars=True)
        for name, buffer in module.named_buffers(recurse=False):
            value = torch.zeros_like(buffer, device=device) if buffer.is_meta else buffer.to(device)
            module.register_buffer(name, value, persistent=name in kept)

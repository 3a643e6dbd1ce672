"""train/machinery: how a model computes while it is trained: precision, attention, dropout, what is kept and what is compiled.

Nothing here changes which function is trained, dropout apart. Refuses what the device cannot do. Does not know recipes.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from whorl.model.attend import BackendName, build_attend
from whorl.model.compiled import compile_blocks
from whorl.model.fp8 import use_fp8
from whorl.model.parallel import Choice
from whorl.model.recompute import Recompute, recompute
from whorl.model.transformer import Transformer

__all__ = ["Compile", "Machinery"]

Compile = bool | Literal["auto"]


@dataclass(frozen=True)
class Machinery:
    """What a recipe asks for."""

    dtype: torch.dtype  # of activations; weights stay float32
    fp8: bool  # matrix products of blocks in eight bits
    attention: BackendName
    dropout: float
    recompute: Recompute
    compile: Compile

    def set_up(self, model: Transformer, width: int) -> Choice:
        """Set a model up for rows of `width` tokens; whether its blocks are compiled, and why.

        Raises ResourceError or ConfigError for what this device cannot do.
        """
        model.compute_dtype = self.dtype
        model.backend = self.attention
        # Refuses here, not at the first step.
        build_attend(self.attention, device=model.head_weight.device, dtype=self.dtype, trains=True)
        model.set_dropout(self.dropout)
        if self.fp8:
            use_fp8(model, width)
        recompute(model, self.recompute)
        return compile_blocks(model, self.compile)

"""model/attend: softmax attention over given heads, in interchangeable backends proved equal to each other.

`sdpa` is the reference: torch's fused kernel with a dense mask. `matmul` writes the two products out; on a CPU in bf16
it is several times faster at short context. `flex` (model/flex) and `varlen` (model/varlen) skip what is not seen and hold no
dense mask; they train on a GPU only. Each prepares its mask once per batch and kind of layer, not once per layer. Does not
project, position or cache.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.core.errors import ResourceError
from whorl.model.flex import FlexAttend, flex_fault
from whorl.model.fused import can_run
from whorl.model.kernels import attended
from whorl.model.mask import Scene
from whorl.model.parallel import pick_backend
from whorl.model.sdpa import SdpaAttend
from whorl.model.seen import seen_bytes
from whorl.model.varlen import VarlenAttend, varlen_fault

__all__ = ["Attend", "BackendName", "MatmulAttend", "SdpaAttend", "build_attend"]

BackendName = Literal["auto", "sdpa", "matmul", "flex", "varlen"]


class Attend(Protocol):
    """One way of computing attention. Grouped queries: head h reads key head h * k // heads."""

    def prepare(self, scene: Scene, *, heads: int, kv_heads: int, dtype: torch.dtype) -> Any:  # noqa: ANN401 - the backend's own
        """Whatever this backend wants to know about who sees whom; given back to it as `mask`."""
        ...

    def __call__(
        self,
        q: Float[Tensor, "b h t c"],
        k: Float[Tensor, "b k s c"],
        v: Float[Tensor, "b k s c"],
        mask: Any,  # noqa: ANN401
    ) -> Float[Tensor, "b h t c"]:
        """The attended values."""
        ...


class MatmulAttend:
    """baddbmm (the mask is its addend), softmax, bmm. A group of queries is stacked along time, so keys are never copied.

    The softmax runs in the compute dtype: torch sums it in float32 inside and rounds once at the end. In bfloat16 on a CPU it
    is one pass over what is seen, in place (model/fused), and the mask is bytes.
    """

    def prepare(self, scene: Scene, *, heads: int, kv_heads: int, dtype: torch.dtype) -> Tensor:
        """0 where seen, minus infinity elsewhere: (b k, g t, s), or (1, g t, s) if all rows see alike; or seen_bytes."""
        seen = scene.seen
        if can_run(torch.empty(0, dtype=dtype, device=seen.device)):
            return seen_bytes(seen)
        bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))
        rows, t, s = bias.shape
        copies = kv_heads if rows > 1 else 1
        return bias[:, None, None].expand(rows, copies, heads // kv_heads, t, s).reshape(rows * copies, -1, s)

    def __call__(
        self, q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: Tensor
    ) -> Float[Tensor, "b h t c"]:
        """The attended values."""
        if mask.dtype is torch.uint8:
            return attended(q, k, v, mask)
        b, kv_heads, s, c = k.shape
        stacked = q.reshape(b * kv_heads, -1, c)  # bk gt c
        keys, values = k.reshape(b * kv_heads, s, c), v.reshape(b * kv_heads, s, c)
        scores = torch.baddbmm(mask, stacked, keys.transpose(1, 2), alpha=c**-0.5)  # bk gt s
        return torch.bmm(scores.softmax(dim=-1), values).view(q.shape)


BACKENDS: Mapping[str, Attend] = {
    "sdpa": SdpaAttend(),
    "matmul": MatmulAttend(),
    "flex": FlexAttend(),
    "varlen": VarlenAttend(),
}


def build_attend(name: BackendName, *, device: torch.device, dtype: torch.dtype, trains: bool = False) -> Attend:
    """The backend of that name; `auto` asks the hardware. `trains`: gradients will be wanted.

    Raises ResourceError for one that cannot run here.
    """
    chosen = pick_backend(device, dtype).name if name == "auto" else name
    fault = {
        "flex": flex_fault(device) if trains else "",
        "varlen": varlen_fault(device, dtype),
    }.get(chosen, "")
    if fault:
        raise ResourceError(f"attention backend '{chosen}': {fault}; want attention: sdpa, or auto")
    return BACKENDS[chosen]

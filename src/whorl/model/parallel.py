"""model/parallel: what this machine can do: precision, attention backend and threads.

The only place that looks at the hardware or sets torch's threads. Does not distribute over processes.
"""

from typing import Literal, NamedTuple

import torch

from whorl.core.errors import ResourceError

__all__ = ["Choice", "DTypeName", "pick_backend", "pick_device", "pick_dtype", "set_threads", "torch_dtype"]

DTypeName = Literal["auto", "bf16", "fp32", "fp16"]


class Choice(NamedTuple):
    """A resolved setting and the reason for it."""

    name: str
    why: str


def pick_device() -> Choice:
    """`cuda` where there is one, else `cpu`."""
    if torch.cuda.is_available():
        return Choice("cuda", f"found {torch.cuda.get_device_name(0)}")
    return Choice("cpu", "no CUDA device")


def pick_dtype(wanted: DTypeName, device: str = "cpu") -> Choice:
    """The compute precision: bf16 where the hardware multiplies it natively, else fp32. Asked-for precision is kept."""
    if wanted != "auto":
        return Choice(wanted, "asked for")
    if torch.device(device).type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Choice("bf16", "the GPU multiplies bf16") if has_bf16 else Choice("fp32", "the GPU has no bf16 units")
    able = {name for name, present in torch.cpu.get_capabilities().items() if present}
    native = sorted(able & {"avx512_bf16", "amx_bf16", "bf16"})
    if native:
        return Choice("bf16", f"the CPU multiplies bf16 ({', '.join(native)})")
    return Choice("fp32", "the CPU has no bf16 instructions")


def torch_dtype(name: str) -> torch.dtype:
    """The torch dtype of a resolved precision."""
    return {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}[name]


def pick_backend(device: torch.device, dtype: torch.dtype) -> Choice:
    """The attention backend: torch's CPU kernels for half precision lose to plain matrix products at short context."""
    if device.type == "cpu" and dtype is not torch.float32:
        return Choice("matmul", "half-precision SDPA is slow on CPU")
    return Choice("sdpa", "fused attention")


def set_threads(count: int) -> None:
    """Use this many threads inside torch operations. Raises ResourceError for fewer than one."""
    if count < 1:
        raise ResourceError(f"threads={count}: want at least 1")
    torch.set_num_threads(count)

"""model/replay: a computation made of loops, written down once and carried out again without asking Python what comes next.

Decoding a token takes a hundred small operations, and between them Python costs as much time as a small model's matrices. So
the model's own forward pass runs once while somebody listens: every loop (model/team) is noted with its numbers, additions and
copies that torch would make become loops, and every tensor is kept where it was. Replaying computes the same from whatever
stands in the inputs by then. Anything that is no loop, or whose result Python would look at, is refused by name: then nothing
is replayed and the caller goes on as before. Shapes, threads and addresses are those of the recording. Inference only.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from whorl.model.team import Call, Loop, claimed, copy_row, inline, listening, longs, narrow, parallel, wide, words

__all__ = ["NotStatic", "Replay", "recorded"]

_aten = torch.ops.aten
# What computes nothing: new memory (never read before it is written) and other ways to look at the same.
_LOOKS: Final = frozenset({
    "aten::alias", "aten::as_strided", "aten::detach", "aten::empty", "aten::empty_like", "aten::empty_strided", "aten::expand",
    "aten::new_empty", "aten::new_empty_strided", "aten::permute", "aten::select", "aten::slice", "aten::split",
    "aten::split_with_sizes", "aten::squeeze", "aten::t", "aten::transpose", "aten::unbind", "aten::unsqueeze", "aten::view",
    "aten::_reshape_alias", "aten::_unsafe_view",
})  # fmt: skip
_CHUNK: Final = 8192  # numbers a thread claims at a time


class NotStatic(Exception):  # noqa: N818 - no error: the caller goes on another way
    """Something cannot be replayed; says what."""


class Replay:
    """What was recorded. Its inputs and outputs are the tensors of the recording."""

    def __init__(self, calls: list[Call], kept: list[Any]) -> None:
        self._kept = kept  # the memory that the calls work on
        self.num_threads = torch.get_num_threads()
        ends = np.cumsum([len(call.numbers) for call in calls])
        self._fresh = np.concatenate([np.asarray(call.numbers, np.int64) for call in calls])
        self._live = np.empty_like(self._fresh)
        firsts = [int(end) - len(call.numbers) for call, end in zip(calls, ends, strict=True)]
        addresses = [self._live.ctypes.data + 8 * first for first in firsts]
        self._fresh[[first + 1 for first in firsts]] = addresses  # where a loop counts what was claimed
        self._calls = [(call.address, place, call.threads) for call, place in zip(calls, addresses, strict=True)]

    def run(self) -> None:
        """Compute again, from what stands in the inputs now."""
        self._live[:] = self._fresh
        start = parallel()
        for address, place, threads in self._calls:
            start(address, place, threads, 0)


def recorded(act: Callable[[], Tensor]) -> tuple[Tensor, Replay]:
    """Run it once, listening; its result, whose memory every replay writes anew. Raises NotStatic."""
    calls: list[Call] = []
    with listening(calls), _Recorder() as recorder:
        out = act()
    return out, Replay(calls, [*recorder.kept, out])


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch gives it no types
    """Sees what torch is asked to do."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's own
        name = func.name().partition(".")[0]
        translate = _TRANSLATED.get(name)
        if translate is not None:
            out = translate(*args, **(kwargs or {}))
        elif name in _LOOKS:
            out = func(*args, **(kwargs or {}))
        else:
            with self:  # what is made of other operations may be made of these
                out = func.decompose(*args, **(kwargs or {}))
            if out is NotImplemented:
                raise NotStatic(func.name())
        self.kept.append(out)
        return out


def _new(shape: torch.Size, like: Tensor) -> Tensor:
    with torch.utils._python_dispatch._disable_current_modes():
        return torch.empty(shape, dtype=like.dtype, device=like.device)


def _added(left: Tensor, right: Tensor | float, *, alpha: float = 1) -> Tensor:
    if not isinstance(right, Tensor):
        raise NotStatic("a sum with a number")
    same = left.shape == right.shape and left.dtype is right.dtype is torch.bfloat16
    if not same or alpha != 1 or not (left.is_contiguous() and right.is_contiguous()):
        raise NotStatic(f"a sum of {left.dtype} {tuple(left.shape)} and {tuple(right.shape)}")
    out = _new(left.shape, left)
    _ADD.run(left.numel(), _CHUNK, left, right, out)
    return out


def _cloned(source: Tensor, *, memory_format: torch.memory_format | None = None) -> Tensor:
    """A copy in the usual order."""
    if memory_format not in {None, torch.contiguous_format}:
        raise NotStatic("a copy in an order of its own")
    out = _new(source.shape, source)
    _strided_copy(source, out)
    return out


def _joined(parts: list[Tensor], dim: int = 0) -> Tensor:
    """Parts side by side along the last axis."""
    if dim not in {-1, parts[0].ndim - 1} or len({part.dtype for part in parts}) > 1:
        raise NotStatic("parts that are not joined along their last axis")
    out = _new(torch.Size([*parts[0].shape[:-1], sum(part.shape[-1] for part in parts)]), parts[0])
    first = 0
    for part in parts:
        _strided_copy(part, out, first=first)
        first += part.shape[-1]
    return out


def _put(memory: Tensor, places: list[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - torch's own
    """memory[pages, :, places] = values, as infer/store writes it."""
    whole = memory.ndim == 4 and len(places) >= 3 and places[1] is None and not any(one is not None for one in places[3:])
    if not whole or accumulate or not memory.is_contiguous() or places[0] is None or places[2] is None:
        raise NotStatic("an assignment by index")
    n, heads, c = len(places[0]), memory.shape[1], memory.shape[3]
    values = values.expand(n, heads, c) if values.ndim == 3 else values.view(n, heads, c)  # torch drops leading ones
    if values.stride(2) != 1 or memory.element_size() != values.element_size():
        raise NotStatic("an assignment of scattered numbers")
    wide_by = memory.element_size() // 2
    sizes = (n, heads, c * wide_by, memory.shape[2], memory.shape[0], values.stride(0) * wide_by, values.stride(1) * wide_by)
    span = (n - 1) * sizes[5] + (heads - 1) * sizes[6] + sizes[2]
    _PUT.run(n * heads, 8, memory.data_ptr(), places[0].data_ptr(), places[2].data_ptr(), values.data_ptr(), *sizes, span)
    return memory


_TRANSLATED: Mapping[str, Callable[..., Tensor]] = {
    "aten::add": _added,
    "aten::cat": _joined,
    "aten::clone": _cloned,
    "aten::index_put_": _put,
}


def _strided_copy(source: Tensor, out: Tensor, *, first: int = 0) -> None:
    """Rows of up to three strided axes before a contiguous last one, to rows of `out` from number `first` on."""
    shape, strides = list(source.shape), list(source.stride())
    if not shape or strides[-1] != 1:
        raise NotStatic("a copy whose last axis is scattered")
    axes = [(size, stride) for size, stride in zip(shape[:-1], strides[:-1], strict=True) if size != 1]
    if len(axes) > 3:
        raise NotStatic(f"a copy of {len(shape)} axes")
    wide_by = source.element_size() // 2
    (a, b, c) = [*[(1, 0)] * (3 - len(axes)), *axes]
    rows, width = a[0] * b[0] * c[0], shape[-1] * wide_by
    span = sum((size - 1) * stride for size, stride in (a, b, c)) * wide_by + width
    steps = (a[1] * wide_by, b[1] * wide_by, c[1] * wide_by)
    room = out.shape[-1] * wide_by, first * wide_by
    _COPY.run(rows, max(1, _CHUNK // width), source.data_ptr(), out, width, b[0], c[0], *steps, span, *room)


@Loop
def _ADD(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    left, right, out = words(p[4], 1, p[2])[0], words(p[5], 1, p[2])[0], words(p[6], 1, p[2])[0]
    first, end = claimed(p)
    while first < end:
        _sum(left[first:end], right[first:end], out[first:end])
        first, end = claimed(p)


@inline
def _sum(left, right, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(out)):
        out[i] = narrow(wide(left[i]) + wide(right[i]))


@Loop
def _COPY(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    width, inner, innermost = p[6], p[7], p[8]
    source, out = words(p[4], 1, p[12])[0], words(p[5], p[2], p[13])
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            at = r // (inner * innermost) * p[9] + r // innermost % inner * p[10] + r % innermost * p[11]
            copy_row(source[at : at + width], out[r, p[14] : p[14] + width])
        first, end = claimed(p)


@Loop
def _PUT(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    n, heads, width, size, blocks = p[8], p[9], p[10], p[11], p[12]
    memory, values = words(p[4], blocks * heads * size, width), words(p[7], 1, p[15])[0]
    pages, places = longs(p[5], n), longs(p[6], n)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            token, head = r // heads, r % heads
            at = token * p[13] + head * p[14]
            copy_row(values[at : at + width], memory[(pages[token] * heads + head) * size + places[token]])
        first, end = claimed(p)

"""model/team: loops over raw memory, compiled here and carried out by the very threads torch computes with.

A second pool of threads would fight for the cores with torch's, which spin between operations; so loops are handed to torch's
own OpenMP team. Chunks of rows are claimed one by one: a thread that is held up delays nobody by more than a chunk, and because
a row's result depends on nothing but the row, it is the same bytes for any number of threads. Also the arithmetic of bfloat16,
which numba does not know: kept in 16-bit words, computed in float32, rounded to nearest even. Knows no layer.
"""

import ctypes
import os
import struct
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import torch
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from whorl.core.kernels import callback

__all__ = [
    "FAST",
    "HAS_BFLOAT",
    "HEAD",
    "BFloat",
    "Call",
    "Loop",
    "as_number",
    "bits",
    "bits_of",
    "can_run",
    "claimed",
    "clear_row",
    "copy_row",
    "decay",
    "exponential",
    "float_of",
    "floats",
    "inline",
    "ints",
    "kept",
    "listening",
    "longs",
    "narrow",
    "narrow_row",
    "number",
    "parallel",
    "rounded",
    "rows_at_once",
    "sortable",
    "taken",
    "wide",
    "words",
]

# Sums may be reordered (once, by the compiler); not-a-number and infinity keep their meaning: they are how a broken run shows.
FAST: Final = frozenset({"reassoc", "contract", "arcp", "nsz"})
HEAD: Final = 4  # numbers every loop is given before its own: rows claimed, where that is written, rows, rows of a chunk

HAS_BFLOAT: Final = bool(binding.get_host_cpu_features().get("avx512bf16", False))  # whether the processor knows it
_CHUNK: Final = 16_384  # numbers a thread claims at a time

_array: Any = numba.carray  # type: ignore[attr-defined]
_POINTER: Any = types.CPointer(types.int64)  # type: ignore[no-untyped-call]
# Really inlined: what the compiler leaves a call might, while it is compiled, be another module's copy with its sums in another
# order, and the run that compiles a loop would get other bits than the runs after it.
inline: Any = numba.njit(  # type: ignore[call-overload]
    no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, fastmath=set(FAST), error_model="numpy"
)


@cache
def _parallel() -> Any:  # noqa: ANN401 - a foreign function
    """The entry of the OpenMP runtime that torch has loaded; None where it is another runtime."""
    try:
        found: Any = ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD | os.RTLD_NOW).GOMP_parallel
    except (OSError, AttributeError):  # not loaded, or no such flag on this system
        return None
    found.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    found.restype = None
    return found


def parallel() -> Any:  # noqa: ANN401 - a foreign function
    """Runs (loop, numbers, threads, 0). Who calls it has asked can_run."""
    found = _parallel()
    assert found is not None, "who runs a loop has asked can_run"
    return found


class Call(NamedTuple):
    """A loop that was run."""

    address: int
    numbers: "array[int]"  # as they were before
    threads: int


_hearing = threading.local()  # `calls`, of a thread that listens


@contextmanager
def listening(calls: list[Call]) -> Iterator[None]:
    """Note every loop that this thread runs meanwhile."""
    _hearing.calls = calls
    try:
        yield
    finally:
        del _hearing.calls


class Loop:
    """A loop over rows, compiled at its first run."""

    def __init__(self, body: Callable[[Any], None]) -> None:
        """`body` gets a pointer to its numbers (int64), claims rows until none are left, and returns nothing."""
        self._address = callback(types.void(_POINTER), fastmath=set(FAST))(body)

    def run(self, rows: int, chunk: int, *given: Tensor | float) -> None:
        """Carry it out on `rows` rows, `chunk` at a time. A tensor is given as its address (it must be contiguous), an integer
        as it is, a float by its bits."""
        self.start(array("q", (0, 0, rows, chunk, *map(as_number, given))))

    def start(self, numbers: "array[int]") -> None:
        """The same on numbers the caller has laid out: the HEAD, whose second is filled in here, and the loop's own. What they
        are addresses of must live meanwhile."""
        numbers[1] = address = numbers.buffer_info()[0]
        threads = min(torch.get_num_threads(), -(-numbers[2] // numbers[3]))
        calls = getattr(_hearing, "calls", None)
        if calls is not None:
            calls.append(Call(self._address(), numbers[:], threads))
        parallel()(self._address(), address, threads, 0)


def can_run(*tensors: Tensor) -> bool:
    """Whether loops can work on these: plain bfloat16 tensors in this machine's memory, and nobody is tracing."""
    if torch.compiler.is_compiling() or _parallel() is None:
        return False
    return all(x.device.type == "cpu" and x.dtype is torch.bfloat16 and type(x) is Tensor for x in tensors)


def rows_at_once(columns: int) -> int:
    """How many rows of so many numbers a thread should claim at a time, where each number is little work."""
    return max(1, _CHUNK // columns)


def as_number(value: Tensor | float) -> int:
    """How a loop is told a number: a tensor by its address, a float by its bits."""
    if isinstance(value, Tensor):
        return value.data_ptr()
    return value if isinstance(value, int) else int(struct.unpack("<q", struct.pack("<d", value))[0])


def _cast(result: Any, argument: Any, convert: Callable[[Any, Any, Any], Any]) -> Any:  # noqa: ANN401 - numba's types
    def typed(typing: Any, value: Any) -> Any:  # noqa: ANN401, ARG001
        return result(argument), lambda context, builder, _, given: convert(context, builder, given[0])

    return intrinsic(typed)


class BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


float_of = _cast(types.float32, types.int32, lambda _, b, x: b.bitcast(x, ir.FloatType()))
_double_of = _cast(types.float64, types.int64, lambda _, b, x: b.bitcast(x, ir.DoubleType()))
bits_of = _cast(types.uint32, types.float32, lambda _, b, x: b.bitcast(x, ir.IntType(32)))
_rounded = _cast(types.uint16, types.float32, lambda _, b, x: b.bitcast(b.fptrunc(x, BFloat()), ir.IntType(16)))
_memory = _cast(types.voidptr, types.int64, lambda c, b, x: b.inttoptr(x, c.get_value_type(types.voidptr)))
_claim = _cast(  # add one to the number at an address, whoever else does so at the moment; what it was before
    types.int64,
    types.int64,
    lambda _, b, x: b.atomic_rmw(
        "add", b.inttoptr(x, ir.IntType(64).as_pointer()), ir.Constant(ir.IntType(64), 1), "monotonic"
    ),
)


@inline
def taken(numbers, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled, here and below
    """What the number at `index` was before it became one larger: no two threads are told the same."""
    return _claim(numbers[1] + 8 * index)


@inline
def claimed(numbers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The next rows nobody has worked on, first and end; first == end when none are left."""
    first = taken(numbers, 0) * numbers[3]
    return min(first, numbers[2]), min(first + numbers[3], numbers[2])


@inline
def words(address, rows, columns):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The 16-bit words at an address."""
    return _array(_memory(address), (rows, columns), np.uint16)


@inline
def floats(address, rows, columns):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The float32 numbers at an address."""
    return _array(_memory(address), (rows, columns), np.float32)


@inline
def ints(address, rows, columns):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The int32 numbers at an address."""
    return _array(_memory(address), (rows, columns), np.int32)


@inline
def longs(address, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The int64 numbers at an address."""
    return _array(_memory(address), (count,), np.int64)


@inline
def bits(address, rows, columns):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The bytes at an address."""
    return _array(_memory(address), (rows, columns), np.uint8)


@inline
def number(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A float that was given by its bits."""
    return np.float32(_double_of(value))


@inline
def wide(word):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """bfloat16 to float32: exact."""
    return float_of(np.int32(np.uint32(np.uint16(word)) << np.uint32(16)))


@inline
def narrow(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """float32 to bfloat16, to nearest even. What is not a number stays none: its mantissa cannot round over."""
    found = bits_of(value)
    rounded = (found + np.uint32(0x7FFF) + ((found >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.uint16(rounded if value == value else np.uint32(0x7FC0))


@inline
def rounded(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """As `narrow`, by the processor's own instruction where it has one, which takes what is below 2^-126 as 0. A quarter faster
    in loops that compute much, slower in those that only bring numbers from one place to another."""
    return _rounded(value) if HAS_BFLOAT else narrow(value)


@inline
def copy_row(source, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Fill a row with the numbers of another."""
    for i in range(len(target)):
        target[i] = source[i]


@inline
def clear_row(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Fill a row of words with zeros."""
    for i in range(len(row)):
        row[i] = np.uint16(0)


@inline
def sortable(word):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """An integer that sorts as the float32 of these 32 bits does; what is no number above all. Of such an integer, the bits."""
    return np.int32(word ^ ((word >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@inline
def narrow_row(source, by, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Fill a row of words with float32 numbers times one, rounded."""
    for i in range(len(target)):
        target[i] = narrow(source[i] * by)


@inline
def kept(value, is_kept):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The value, or 0 where the byte is 0 rather than 1, whatever the value: chosen by its bits, without a branch."""
    return float_of(np.int32(bits_of(value) & np.uint32(-np.int32(is_kept))))


@inline
def exponential(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """e^x to 1e-5 of itself: 2^n by its bits, times a polynomial in what is left of x / ln 2. Below e^-86 it stays there."""
    y = x * np.float32(1.4426950408889634)
    y = np.float32(-125.0) if y < np.float32(-125.0) else y  # comparisons, not min: what is not a number must stay none
    y = np.float32(128.0) if y > np.float32(128.0) else y  # and 2^128 is infinity
    n = np.floor(y + np.float32(0.5))
    f = y - n
    p = np.float32(1.535336188319500e-4)
    p = p * f + np.float32(1.339887440266574e-3)
    p = p * f + np.float32(9.618437357674640e-3)
    p = p * f + np.float32(5.550332471162809e-2)
    p = p * f + np.float32(2.402264791363012e-1)
    p = p * f + np.float32(6.931472028550421e-1)
    p = p * f + np.float32(1.0)
    return float_of((np.int32(n) + np.int32(127)) << np.int32(23)) * p


@inline
def decay(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """e^x of what is not above 0, exactly 1 of 0; otherwise as `exponential`, in fewer steps."""
    y = x * np.float32(1.4426950408889634)
    y = np.float32(-125.0) if y < np.float32(-125.0) else y  # what is not a number must stay none
    n = np.floor(y)
    f = y - n  # 0 to 1, where the polynomial is off by 8e-8 at most
    p = np.float32(1.867130213333509e-3)
    p = p * f + np.float32(9.017030018761196e-3)
    p = p * f + np.float32(5.579991332068881e-2)
    p = p * f + np.float32(0.24016445009570084)
    p = p * f + np.float32(0.6931513118094639)
    p = p * f + np.float32(1.0)
    return float_of((np.int32(n) + np.int32(127)) << np.int32(23)) * p

"""model/emit: the few words that all machine code of this room is written with: calls, whole numbers, one number in all lanes.

llvmlite and numba's tools have no types, so builders and values are Any here and wherever code is emitted. Knows no loop.
"""

from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils as _cgutils

__all__ = ["LANES", "call", "cgutils", "number", "prefetch", "spread"]

cgutils: Any = _cgutils
LANES: Final = 16  # numbers of 32 bits in a register


def call(b: Any, name: str, result: Any, *given: Any) -> Any:  # noqa: ANN401
    """An instruction that has no sign of its own."""
    signature = ir.FunctionType(result, [one.type for one in given])
    return b.call(cgutils.get_or_insert_function(b.module, signature, name), given)


def number(value: int) -> Any:  # noqa: ANN401
    """A whole number, as addresses and counts are."""
    return ir.Constant(ir.IntType(64), value)


def prefetch(b: Any, address: Any) -> None:  # noqa: ANN401
    """Ask for the memory at an address, which need not exist, before it is needed: to read, to keep, as data."""
    flags = (ir.Constant(ir.IntType(32), flag) for flag in (0, 3, 1))
    call(b, "llvm.prefetch.p0", ir.VoidType(), b.inttoptr(address, ir.IntType(8).as_pointer()), *flags)


def spread(b: Any, one: Any) -> Any:  # noqa: ANN401
    """A register of the same number everywhere."""
    empty = ir.Constant(ir.VectorType(one.type, LANES), ir.Undefined)
    first = b.insert_element(empty, one, ir.Constant(ir.IntType(32), 0))
    return b.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

"""corpus/lines: the lines of a byte stream, numbered, none held beyond a limit.

Does not decode. A line ends with a line feed; a carriage return before it belongs to the line.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

__all__ = ["Line", "bounded_lines"]

_PIECE = 1_048_576


class Line(NamedTuple):
    """One line with its ending."""

    number: int  # from 1
    data: bytes  # empty when the line is longer than the limit
    num_bytes: int

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing but white space in it."""
        return self.data.isspace()


def bounded_lines(stream: BinaryIO, max_bytes: int) -> Iterator[Line]:
    """Lines in order; of one longer than `max_bytes` only the length is found out."""
    number = 0
    while data := stream.readline(max_bytes + 1):
        number += 1
        num_bytes = len(data)
        if num_bytes <= max_bytes:
            yield Line(number, data, num_bytes)
            continue
        is_open = not data.endswith(b"\n")
        data = b""
        while is_open and (rest := stream.readline(_PIECE)):
            num_bytes += len(rest)
            is_open = not rest.endswith(b"\n")
        yield Line(number, data, num_bytes)

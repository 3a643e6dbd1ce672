import pytest
from rich.console import Console

from whorl.cli.drawing import Column, clock, counts_line, duration, number, size, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (43_210, "43.2 kB"),
        (2.5e9, "2.50 GB"),
        (7e12, "7.00 TB"),
    ],
)
def test_sizes_have_decimal_units(value, text):
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"),
        (0.312, "0.31 s"),
        (12.34, "12.3 s"),
        (248, "4 min 08 s"),
        (7500, "2 h 05 min"),
        (59.96, "0 min 59 s"),
    ],
)
def test_durations_say_their_unit(value, text):
    assert duration(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "?"), (41.9, "0:41"), (3727, "1:02:07")])
def test_clocks(value, text):
    assert clock(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(8412, "8,412"), (1.62749, "1.627"), (123456.7, "123,457"), (True, "True"), ("x", "x")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_counts_say_how_many_are_left_out():
    counts = {"num_documents": 8412, "dropped": 31, "nested": {"a": 1}, "bytes_per_token": 2.934}
    assert counts_line(counts) == "documents 8,412  dropped 31  bytes per token 2.934"
    assert counts_line(counts, 2) == "documents 8,412  dropped 31  +1 more"


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_never_passes_the_width(width):
    drawn = table("name", Column("why", is_flexible=True), Column("took", "right"))
    drawn.add_row("clean", "a reason " * 40, "12.3 s")
    console = Console(width=width)
    with console.capture() as captured:
        console.print(drawn)
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[1].rstrip().endswith("12.3 s")

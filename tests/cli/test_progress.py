"""The moving line and the lines it leaves, from events alone."""

import contextlib
import io
import time

import pytest
from rich.console import Console

from whorl.cli.progress import Doing, LiveGauge, Narrator, PlainGauge, gauge, narrator
from whorl.cli.terminal import Terminal

PROGRESS = {
    "time": 1.0,
    "kind": "progress",
    "stage": "base",
    "step": 1200,
    "total": 2930,
    "unit": "step",
    "elapsed_s": 41.0,
    "eta_s": 58.0,
    "loss": 3.2101,
    "tokens_per_s": 14_230.0,
    "doing": "warm",
}
FINISHED = {"kind": "stage_finished", "stage": "base", "seconds": 61.2, "counts": {"num_steps": 2930}, "resumed": False}


def plain_terminal() -> Terminal:
    return Terminal(out=Console(file=io.StringIO(), width=80))


def text_of(terminal: Terminal) -> str:
    return terminal.out.file.getvalue()


class Silent:
    def __init__(self):
        self.calls = []

    def begin(self, doing):
        self.calls.append(f"begin {doing.stage}")

    def end(self):
        self.calls.append("end")


def test_figures_of_the_machine_have_their_units_and_only_the_share_that_matters_most():
    doing = Doing("base")
    doing.note({**PROGRESS, "mfu": 0.412, "hfu": 0.5, "mfu_of_vendor_peak": 0.3, "memory_bytes": 1.25e9, "energy_wh": 0.0341})
    assert doing.fields()[-3:] == ["MFU 41 %", "1.25 GB", "0.0341 Wh"]


def test_the_fields_are_steps_share_times_and_the_stage_s_own_figures():
    doing = Doing("base")
    doing.note(PROGRESS)
    assert doing.fields() == [
        "1,200/2,930 step (41 %)",
        "0:00 elapsed",
        "0:57 left",
        "loss 3.21",
        "14.2k tok/s",
        "warm",
    ]
    assert doing.share == pytest.approx(1200 / 2930)


def test_work_of_unknown_length_shows_no_share_and_no_time_left():
    doing = Doing("vocab")
    doing.note({"step": 12, "total": None, "unit": "documents", "eta_s": None})
    assert doing.fields() == ["12 documents", "0:00 elapsed"]
    assert doing.share is None


def test_before_the_first_step_the_time_left_is_the_prediction():
    assert Doing("base", predicted_s=90.9).fields() == ["0:00 elapsed", "1:30 left"]


def test_a_finished_stage_is_one_line_with_its_time_and_counts():
    terminal, silent = plain_terminal(), Silent()
    with Narrator(terminal, silent, ["vocab", "base"]) as tell:
        tell({"kind": "stage_cached", "stage": "vocab", "counts": {"size": 4096}})
        tell({"kind": "stage_started", "stage": "base", "predicted_s": None})
        tell(PROGRESS)
        tell({"kind": "something_new", "stage": "base"})
        tell({"kind": "warning", "stage": "base", "message": "no held-out text"})
        tell(FINISHED)
    assert text_of(terminal).splitlines() == [
        "  1/2 vocab      cached  size 4,096",
        "      warning: no held-out text",
        "  2/2 base   1 min 01 s  steps 2,930",
    ]
    assert silent.calls == ["begin base", "end", "end"]


def test_an_error_leaves_no_gauge_running():
    silent = Silent()
    with contextlib.suppress(KeyError), Narrator(plain_terminal(), silent, ["base"]) as tell:
        tell({"kind": "stage_started", "stage": "base", "predicted_s": None})
        tell({})
    assert silent.calls == ["begin base", "end"]


def test_with_json_every_event_is_a_line_and_nothing_else_is_said():
    terminal = Terminal(is_json=True, out=Console(file=io.StringIO()))
    with narrator(terminal, ["base"]) as tell:
        tell({"kind": "stage_started", "stage": "base", "predicted_s": None})
        tell(FINISHED)
    assert [line[:10] for line in text_of(terminal).splitlines()] == ['{"kind": "', '{"kind": "']


def test_a_plain_gauge_says_nothing_about_short_work_and_speaks_of_silence():
    lines = []
    short = PlainGauge(lines.append, first_s=30.0)
    short.begin(Doing("quick"))
    short.end()
    assert lines == []
    slow = PlainGauge(lines.append, first_s=0.02, every_s=0.02)
    slow.begin(Doing("slow"))
    deadline = time.monotonic() + 20
    while len(lines) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    slow.end()
    assert lines[0] == "      slow  0:00 elapsed"
    count = len(lines)
    time.sleep(0.1)
    assert len(lines) == count


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_line_fits_the_terminal_and_is_gone_at_the_end(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    live = LiveGauge(Terminal(out=console))
    doing = Doing("base")
    doing.note(PROGRESS)
    live.begin(doing)
    drawn = Console(file=io.StringIO(), width=width)
    drawn.print(live._drawn())
    live.end()
    [line] = drawn.file.getvalue().splitlines()
    assert len(line.rstrip()) <= width
    assert "1,200/2,930 step (41 %)" in line


def test_the_gauge_suits_where_output_goes():
    assert isinstance(gauge(plain_terminal()), PlainGauge)
    assert isinstance(gauge(Terminal(out=Console(file=io.StringIO(), force_terminal=True))), LiveGauge)

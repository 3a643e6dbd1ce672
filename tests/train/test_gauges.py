from whorl.core.events import Events
from whorl.train.gauges import Gauges


class Told:
    """Stands for a Telemetry."""

    def about(self):
        return {"peak": "a named one"}

    def figures(self, tokens, seconds):
        return {"tokens_per_s": tokens / seconds, "mfu": 0.5}


def test_a_short_run_is_not_measured_and_a_long_one_once():
    opened, said = [], []

    def measured():
        opened.append(Told())
        return opened[-1]

    gauges = Gauges(measured, Events("base", [said.append]))
    assert gauges(100, 0.5) == {"tokens_per_s": 200}
    assert not opened
    assert [gauges(600, seconds) for seconds in (3.0, 6.0)] == [
        {"tokens_per_s": 200, "mfu": 0.5},
        {"tokens_per_s": 100, "mfu": 0.5},
    ]
    assert len(opened) == 1
    (setting,) = said
    assert (setting["name"], setting["peak"]) == ("telemetry", "a named one")

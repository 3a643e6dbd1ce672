import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from bench.__main__ import FIELDS
from bench.optimizers import FULL, Contest, Sweep, below, contest, figures, main, power_law
from bench.training_ground import Trial

from bench import optimizers


class Hills:
    """A ground where the score of a recipe is a formula of its optimizer, and a step of Muon takes half as long again."""

    def __init__(self, score: Callable[[Mapping[str, Any], int], float]) -> None:
        self.score = score
        self.asked: list[tuple[Mapping[str, Any], int]] = []

    def trial(self, recipe: Mapping[str, Any], *, seed: int) -> Trial:
        self.asked.append((recipe, seed))
        step_s = 0.15 if recipe["optimizer"]["use"] == "muon" else 0.1
        return Trial(self.score(recipe["optimizer"], seed), step_s, 1000)


def sweep(score: Callable[[Mapping[str, Any], int], float], name: str = "adamw") -> tuple[Sweep, Hills]:
    hills = Hills(score)
    return Sweep(name, hills, FULL), hills  # type: ignore[arg-type]  # a ground for what is asked of one


def trials(*scores: float) -> list[Trial]:
    return [Trial(score, 0.1, 1000) for score in scores]


def far(settings: Mapping[str, Any], *, rate: float, embedding: float = 0.06) -> float:
    return abs(settings["rate"] - rate) + abs(settings["rates"]["embedding"] - embedding)


def test_settings_are_tuned_one_after_another_with_equally_many_trials() -> None:
    for name, rate in (("adamw", 2e-3), ("muon", 0.06)):
        one, hills = sweep(lambda settings, seed, rate=rate: far(settings, rate=rate), name)  # type: ignore[misc]
        assert one.best()["rate"] == rate
        assert len(one.scores) == 9
        assert {seed for _, seed in hills.asked} == {0}


def test_a_best_rate_at_the_end_of_its_grid_makes_the_grid_longer() -> None:
    one, _ = sweep(lambda settings, seed: far(settings, rate=0.033, embedding=0.36))
    assert {"rate": 0.032, "embedding": 0.36}.items() <= one.best().items()
    assert not one.is_at_end


def test_a_rate_that_only_gets_better_is_said_to_be_at_the_end() -> None:
    one, _ = sweep(lambda settings, seed: -settings["rate"])
    assert one.best()["rate"] == 0.016 * 2**3
    assert one.is_at_end


def test_equal_time_is_as_many_steps_fewer_as_a_step_takes_longer() -> None:
    hills = Hills(lambda settings, seed: seed + (settings["use"] == "adamw"))
    settings = {"warmup": 0.1, "embedding": 0.02}
    found = contest(hills, FULL, {"adamw": settings, "muon": settings})  # type: ignore[arg-type]
    assert found.steps_in_time == FULL.steps / 1.5
    assert [recipe["length"] for recipe, _ in hills.asked][-1] == f"{FULL.steps // 1.5:.0f} steps"
    order = [(recipe["optimizer"]["use"], seed) for recipe, seed in hills.asked]
    assert order[:4] == [("adamw", 1), ("muon", 1), ("adamw", 2), ("muon", 2)]


def test_below_means_every_seed_below_every_seed() -> None:
    assert below(trials(1.0, 1.1), trials(1.2, 1.3))
    assert not below(trials(1.0, 1.25), trials(1.2, 1.3))


def line(*losses: float) -> optimizers.Line:
    return power_law((2, 3, 4, 5), [Trial(loss, 0.1, 10**n) for n, loss in enumerate(losses, start=5)])


def test_a_power_law_is_found_and_smooth() -> None:
    found = line(*(8 * (10**n) ** -0.05 for n in (5, 6, 7, 8)))
    assert found.power == pytest.approx(0.05)
    assert found.residuals == pytest.approx([0] * 4, abs=1e-12)
    assert found.is_smooth


@pytest.mark.parametrize("losses", [(4.0, 3.6, 3.3, 2.9), (3.0, 2.99, 2.98, 2.985)], ids=["one off the line", "no fall"])
def test_what_is_off_the_line_or_does_not_fall_is_not_smooth(losses: tuple[float, ...]) -> None:
    assert not line(*losses).is_smooth


def test_every_bar_that_does_not_hold_is_named() -> None:
    one, other = sweep(lambda settings, seed: 1.0)[0], sweep(lambda settings, seed: 1.0, "muon")[0]
    other.is_at_end = True
    found = Contest(trials(1.0, 1.1), trials(0.9, 0.95), trials(1.05, 0.9), steps_in_time=200, step_ratio=1.5)
    said = figures({"adamw": one, "muon": other}, found, line(3.0, 2.9, 2.8, 2.9))
    assert said["missed"] == ["equal time", "the best rate of muon is at the end of its grid", "depths on a smooth curve"]
    assert said["ratio"] == pytest.approx(1.05 / 0.925, abs=1e-4)


def test_settings_land_where_a_fit_takes_them() -> None:
    fields = optimizers.tuning("muon", {"warmup": 0.1, "embedding": 0.02, "rate": 0.03})
    assert fields["schedule"] == {"use": "wsd", "warmup": 0.1}
    assert fields["optimizer"] == {"use": "muon", "rates": {"embedding": 0.02}, "rate": 0.03}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_quick_run_says_everything_a_full_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    main(["--quick"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(FIELDS) <= set(said)
    assert len(said["equal_time"]["muon"]) == said["n"] == 2
    assert len(said["depths"]["residuals"]) == 4

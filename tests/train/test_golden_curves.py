"""Twenty steps of every objective against recorded losses: what a change of numerics shows first.

To record them again after a wanted change: `python tests/train/record_curves.py`.
"""

import json
from pathlib import Path

import pytest
from record_curves import FOLDER, losses

from whorl.train.objectives import Objective

# float32 sums in another order (other kernels, other CPUs) move a loss of 3 to 6 by 1e-6 at first; twenty steps amplify it.
TOLERANCE = 2e-4


@pytest.mark.parametrize("objective", Objective.names())
def test_the_first_twenty_losses_are_those_recorded(objective, ground, tmp_path):
    recorded = json.loads((FOLDER / f"{objective}.json").read_text())["losses"]
    assert len(recorded) == 20
    assert losses(ground, objective, tmp_path) == pytest.approx(recorded, rel=TOLERANCE)


def test_no_record_is_left_without_its_objective():
    assert {Path(path).stem for path in FOLDER.glob("*.json")} == set(Objective.names())

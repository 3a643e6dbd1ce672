"""bench/peer_scripts/mlm_rows: write the rows and gaps that whorl's arm will read, so that the peer reads the same.

Its one argument is the task as JSON; targets of places where nothing is hidden are -100, as the peer wants them.
"""

import json
import sys

import numpy as np
from mlm_ours import Rows  # type: ignore[import-not-found]
from pretrain_turns import Task  # type: ignore[import-not-found]


def main(task: Task) -> None:
    """Every step of the task, (steps, rows, width) int64."""
    rows = Rows(task)
    batches = [rows.batch(step) for step in range(len(task["factors"]))]
    assert all((batch.docs == 0).all() for batch in batches), "every row is one document and full"
    np.save(task["ids"], np.stack([batch.ids for batch in batches]))
    np.save(task["targets"], np.stack([np.where(batch.weights > 0, batch.targets, -100) for batch in batches]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

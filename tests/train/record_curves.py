"""Twenty float32 steps of each objective on the toy data, on one thread; run as a program it records their losses."""

import json
import sys
import tempfile
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent))

from toy_training import CHATS, GAPS, PAIRS, Ground, fit

FOLDER = Path(__file__).parents[1] / "golden" / "train"
DATA = {"next_token": {}, "sft": CHATS, "masked": GAPS, "next_sentence": PAIRS}


def losses(ground: Ground, objective: str, draft: Path) -> list[float]:
    """Mean loss of each of twenty steps of the default optimizer and schedule."""
    fit(**{**DATA[objective], "length": "20 steps", "watch": None}).run(ground.job(draft))
    curve = json.loads((draft / "checkpoint" / "training.json").read_text())
    return [loss for _, loss in curve["loss"]]


def main() -> None:
    """Write one file per objective."""
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground.make(Path(folder) / "ground")
        for objective in DATA:
            found = [round(loss, 6) for loss in losses(ground, objective, Path(folder) / objective)]
            text = json.dumps({"losses": found, "torch": torch.__version__}, indent=1)
            (FOLDER / f"{objective}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

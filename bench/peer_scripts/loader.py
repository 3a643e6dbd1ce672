"""bench/peer_scripts/loader: Megatron's GPTDataset over exported files; runs in the peer's own environment.

The same service as ours: shuffled documents, positions that begin anew in every document, no loss across its end. Its index is
built and cached before anything is timed. Reads one JSON object from standard input, answers with one.
"""

import json
import sys
import time
import warnings
from typing import Any

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402 - the peer warns while it is imported
import torch  # noqa: E402
from megatron.core import __version__  # type: ignore[import-not-found]  # noqa: E402
from megatron.core.datasets.blended_megatron_dataset_builder import (  # type: ignore[import-not-found]  # noqa: E402
    BlendedMegatronDatasetBuilder,
)
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig  # type: ignore[import-not-found]  # noqa: E402


class Vocabulary:
    """What the dataset asks of a tokenizer."""

    def __init__(self, question: dict[str, Any]) -> None:
        self.eod, self.pad, self.vocab_size = question["end"], question["pad"], question["size"]

    @property
    def unique_identifiers(self) -> dict[str, str]:
        """Names the cache."""
        return {"class": "Vocabulary"}


def main() -> None:
    """Time `steps` batches."""
    question = json.loads(sys.stdin.read())
    rows, steps = question["rows"], question["steps"]
    config = GPTDatasetConfig(
        random_seed=1,
        sequence_length=question["width"],
        blend=([question["prefix"]], None),
        split="1,0,0",
        reset_position_ids=True,
        reset_attention_mask=False,  # a dense mask per row would cost far more than the rows
        create_attention_mask=False,
        eod_mask_loss=True,
        tokenizer=Vocabulary(question),
        path_to_cache=question["cache"],
    )
    dataset = BlendedMegatronDatasetBuilder(GPTDataset, [rows * (steps + 2), 0, 0], lambda: True, config).build()[0]
    torch.set_num_threads(1)
    torch.utils.data.default_collate([dataset[number] for number in range(rows)])
    began = time.process_time()
    for step in range(1, steps + 1):
        torch.utils.data.default_collate([dataset[number] for number in range(step * rows, (step + 1) * rows)])
    seconds = time.process_time() - began
    said = {"seconds": seconds, "tokens": steps * rows * question["width"], "version": __version__, "numpy": np.__version__}
    sys.stdout.write(f"\n{json.dumps(said)}\n")


if __name__ == "__main__":
    main()

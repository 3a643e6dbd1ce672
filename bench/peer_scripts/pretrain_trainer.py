"""bench/peer_scripts/pretrain_trainer: HF Trainer at its defaults (float32, no compile) on the same rows.

Only what every arm is given is set: rows of a step, rate, betas, decay, clipping, length. It never logs, saves or evaluates
while it is timed. Runs in the peers' own environment.
"""

import tempfile
import warnings
from typing import Any

warnings.filterwarnings("ignore")

import torch  # noqa: E402 - libraries warn while they are imported
from pretrain_peers import llama  # type: ignore[import-not-found]  # noqa: E402
from pretrain_turns import Turns, batches  # type: ignore[import-not-found]  # noqa: E402
from torch.utils.data import Dataset, SequentialSampler  # noqa: E402
from transformers import Trainer, TrainerCallback, TrainingArguments  # noqa: E402


class Rows(Dataset[dict[str, torch.Tensor]]):
    """The rows of all steps in order."""

    def __init__(self, task: dict[str, Any]) -> None:
        ids, _ = batches(task)
        self._ids = ids.reshape(-1, ids.shape[-1])

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = torch.from_numpy(self._ids[index].copy())
        return {"input_ids": row, "labels": row}


class InOrder(Trainer):  # type: ignore[misc]
    """Trainer, reading the rows in the order every arm reads them in."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)


class TakesTurns(TrainerCallback):  # type: ignore[misc]
    """Waits for the parent between steps."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step of the optimizer is finished."""
        self._turns.done(0.0)


def main() -> None:
    """Build, then let Trainer loop."""
    turns = Turns()
    task = turns.task
    torch.set_num_threads(task["threads"])
    torch.manual_seed(task["seed"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batches(task)[0].shape[1],
            max_steps=len(task["factors"]),
            learning_rate=task["rate"],
            weight_decay=task["decay"],
            adam_beta1=task["betas"][0],
            adam_beta2=task["betas"][1],
            adam_epsilon=task["eps"],
            max_grad_norm=task["clip"],
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = InOrder(model=llama(task), args=arguments, train_dataset=Rows(task), callbacks=[TakesTurns(turns)])
        turns.begin(parameters=sum(one.numel() for one in trainer.model.parameters()), torch=torch.__version__)
        trainer.train()


if __name__ == "__main__":
    main()

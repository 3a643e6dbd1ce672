"""bench/peer_scripts/gpu_trainer: HF Trainer in bfloat16 on the same ids, on a GPU (or, for a check, on the CPU).

Reads one JSON object on standard input, prints one. Everything not named in it is Trainer's default but what costs time without
training (logging, saving, reports). Runs in whatever environment has transformers.
"""

import json
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from typing import Any

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402 - libraries warn while they are imported
import torch  # noqa: E402
import transformers  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402


class Rows(Dataset[dict[str, torch.Tensor]]):
    """The ids of all documents, cut into rows one after another."""

    def __init__(self, path: str, width: int) -> None:
        ids = np.memmap(path, np.dtype("<u2"), mode="r")
        self._rows = ids[: len(ids) // width * width].reshape(-1, width)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = torch.from_numpy(self._rows[index].astype(np.int64))
        return {"input_ids": row, "labels": row}


class Clock(transformers.TrainerCallback):  # type: ignore[misc]
    """Waits for the device once a stretch and notes the time."""

    def __init__(self, warm_up: int, stretch: int) -> None:
        self.warm_up, self.stretch = warm_up, stretch
        self.ends: list[float] = []
        self.began = time.perf_counter()
        self.first_step_s = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - transformers' signature
        """A step of the optimizer has been asked of the device."""
        if state.global_step == 1:
            _wait()
            self.first_step_s = time.perf_counter() - self.began
        if state.global_step >= self.warm_up and (state.global_step - self.warm_up) % self.stretch == 0:
            _wait()
            self.ends.append(time.perf_counter())


def main() -> None:
    """Build, let Trainer loop, answer."""
    asked = json.loads(sys.stdin.read())
    torch.manual_seed(7)
    has_gpu = torch.cuda.is_available()
    config = transformers.LlamaConfig(**asked["config"])
    config._attn_implementation = "sdpa"
    model = transformers.LlamaForCausalLM(config)
    clock = Clock(asked["warm_up"], asked["stretch"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=asked["micro_rows"],
            gradient_accumulation_steps=asked["rows"] // asked["micro_rows"],
            max_steps=asked["steps"],
            learning_rate=asked["rate"],
            weight_decay=0.1,
            adam_beta2=0.95,
            warmup_steps=20,
            bf16=True,
            torch_compile=asked["is_compiled"],
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=not has_gpu,
        )
        trainer = transformers.Trainer(
            model=model, args=arguments, train_dataset=Rows(asked["ids"], asked["width"]), callbacks=[clock]
        )
        result = trainer.train()
    tokens = asked["stretch"] * asked["rows"] * asked["width"]
    answer = {
        "rates": [tokens / (later - earlier) for earlier, later in pairwise(clock.ends)],
        "first_step_s": clock.first_step_s,
        "mean_loss": result.training_loss,
        "peak_bytes": torch.cuda.max_memory_allocated() if has_gpu else 0,
        "parameters": sum(one.numel() for one in model.parameters()),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()

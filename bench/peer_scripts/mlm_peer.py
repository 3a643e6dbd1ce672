"""bench/peer_scripts/mlm_peer: transformers' own ModernBertForMaskedLM in a plain loop, in the ways it can be asked to be fast.

Starts from the weights and reads the rows and gaps that whorl's arm has. Runs in the peers' own environment.
"""

import warnings
from collections.abc import Iterator
from contextlib import nullcontext

warnings.filterwarnings("ignore")

import torch  # noqa: E402 - libraries warn while they are imported
from pretrain_peers import groups  # type: ignore[import-not-found]  # noqa: E402
from pretrain_turns import Task, Turns, batches  # type: ignore[import-not-found]  # noqa: E402
from torch import nn  # noqa: E402
from transformers import ModernBertForMaskedLM  # noqa: E402


def opened(task: Task) -> nn.Module:
    """The starting weights as transformers reads them."""
    model = ModernBertForMaskedLM.from_pretrained(
        task["start"], dtype=torch.float32, attn_implementation=task["attention"], sparse_prediction=task["sparse"]
    )
    model.train()
    return model  # type: ignore[no-any-return]


def steps(task: Task, model: nn.Module) -> Iterator[float]:
    """Train; the loss of each step. Every row is one document without padding, so no mask is needed."""
    ids, targets = batches(task)
    optimizer = torch.optim.AdamW(
        groups(model, task["decay"]), lr=task["rate"], betas=tuple(task["betas"]), eps=task["eps"], fused=True
    )
    precision = torch.autocast("cpu", torch.bfloat16) if task["dtype"] == "bf16" else nullcontext()

    def loss_of(rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return model(input_ids=rows, labels=labels).loss  # type: ignore[no-any-return]

    loss_of = torch.compile(loss_of) if task["compiled"] else loss_of
    for step, factor in enumerate(task["factors"]):
        for group in optimizer.param_groups:
            group["lr"] = task["rate"] * factor
        with precision:
            loss = loss_of(torch.from_numpy(ids[step].copy()), torch.from_numpy(targets[step].copy()))
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), task["clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield float(loss.detach())


def main() -> None:
    """Build, then take turns."""
    turns = Turns()
    torch.set_num_threads(turns.task["threads"])
    torch.manual_seed(turns.task["seed"])
    model = opened(turns.task)
    turns.begin(parameters=sum(one.numel() for one in model.parameters()), torch=torch.__version__)
    for loss in steps(turns.task, model):
        turns.done(loss)


if __name__ == "__main__":
    main()

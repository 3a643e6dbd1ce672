"""bench/peer_scripts/mlm_peer: transformers' own ModernBertForMaskedLM in a plain loop, in the ways it can be asked to be fast.

Starts from the weights and reads the rows and gaps that whorl's arm has. Runs in the peers' own environment.
"""

import warnings

warnings.filterwarnings("ignore")

import torch  # noqa: E402 - libraries warn while they are imported
from pretrain_peers import Loss, steps  # type: ignore[import-not-found]  # noqa: E402
from pretrain_turns import Task, Turns  # type: ignore[import-not-found]  # noqa: E402
from torch import nn  # noqa: E402
from transformers import ModernBertForMaskedLM  # noqa: E402


def opened(task: Task) -> nn.Module:
    """The starting weights as transformers reads them."""
    model = ModernBertForMaskedLM.from_pretrained(
        task["start"], dtype=torch.float32, attn_implementation=task["attention"], sparse_prediction=task["sparse"]
    )
    model.train()
    return model  # type: ignore[no-any-return]


def hf_loss(model: nn.Module) -> Loss:
    """What transformers computes. Every row is one document without padding, so no mask is needed."""
    return lambda rows, labels: model(input_ids=rows, labels=labels).loss


def main() -> None:
    """Build, then take turns."""
    turns = Turns()
    torch.set_num_threads(turns.task["threads"])
    torch.manual_seed(turns.task["seed"])
    model = opened(turns.task)
    turns.begin(parameters=sum(one.numel() for one in model.parameters()), torch=torch.__version__)
    loss_of = torch.compile(hf_loss(model)) if turns.task["compiled"] else hf_loss(model)
    for loss in steps({**turns.task, "autocast": turns.task["dtype"] == "bf16"}, model, loss_of):
        turns.done(loss)


if __name__ == "__main__":
    main()

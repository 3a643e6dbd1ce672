"""bench/peer_scripts/pretrain_peers: a transformers model, or a plain one written out here, in a plain loop in bf16.

The loop tutorials teach: autocast over float32 weights (or weights in bf16), fused AdamW, clipping, a schedule. `compiled`
puts torch.compile over the model with its loss. Runs in the peers' own environment.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

warnings.filterwarnings("ignore")

import torch  # noqa: E402 - libraries warn while they are imported
from pretrain_plain import Plain  # type: ignore[import-not-found]  # noqa: E402
from pretrain_turns import Task, Turns, batches  # type: ignore[import-not-found]  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

Loss = Callable[[Tensor, Tensor], Tensor]


def llama(task: Task) -> nn.Module:
    """A fresh LlamaForCausalLM of the task's shape, drawn as transformers draws it: normal matrices."""
    shape = task["shape"]
    config = LlamaConfig(
        vocab_size=shape["vocab"],
        hidden_size=shape["width"],
        intermediate_size=shape["mlp_width"],
        num_hidden_layers=shape["depth"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        max_position_embeddings=task["width"],
        rms_norm_eps=shape["norm_eps"],
        initializer_range=shape["init_std"],
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation=task["attention"],
    )
    return LlamaForCausalLM(config)  # type: ignore[no-any-return]


def hf_loss(model: nn.Module) -> Loss:
    """What transformers computes: cross-entropy of float32 logits, mean over the targets."""
    return lambda ids, targets: model(input_ids=ids, shift_labels=targets, labels=targets).loss


def groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices shrink; norms and the embedding, which is the head too, keep their size."""
    embeddings = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    matrices = [one for one in model.parameters() if one.ndim == 2 and one not in embeddings]
    rest = [one for one in model.parameters() if one.ndim != 2 or one in embeddings]
    return [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


def steps(task: Task, model: nn.Module, loss_of: Loss) -> Iterator[float]:
    """Train; the loss of each step."""
    ids, targets = batches(task)
    optimizer = torch.optim.AdamW(
        groups(model, task["decay"]), lr=task["rate"], betas=tuple(task["betas"]), eps=task["eps"], fused=True
    )
    precision = torch.autocast("cpu", torch.bfloat16) if task["autocast"] else nullcontext()
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
    task = turns.task
    torch.set_num_threads(task["threads"])
    torch.manual_seed(task["seed"])
    model = llama(task) if task["model"] == "hf" else Plain(task["shape"])
    if not task["autocast"]:
        model = model.to(torch.bfloat16)
    model.train()
    num_parameters = sum(one.numel() for one in model.parameters())
    loss_of: Any = hf_loss(model) if task["model"] == "hf" else model.loss
    if task["compiled"]:
        loss_of = torch.compile(loss_of)
    turns.begin(parameters=num_parameters, torch=torch.__version__)
    for loss in steps(task, model, loss_of):
        turns.done(loss)


if __name__ == "__main__":
    main()

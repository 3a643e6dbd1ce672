"""bench/plain_gpt: GPT-2 as a short script on stock torch would train it on one GPU: the arm beside bench.gpu_124m.

torch's own modules, autocast to bfloat16, causal attention by torch's kernel, one compiled graph, all logits at once, fused
AdamW. Documents in a row see each other, as in most such scripts, which saves it the mask.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.gpu_room import RISE_STEPS, Arm, Clock, Clocked, Marks, Room
from whorl.model.config import ModelConfig
from whorl.model.count import flops_per_token
from whorl.tokens.batch import Batch
from whorl.tokens.workers import ahead

__all__ = ["PlainGPT", "clocked_plain"]


class PlainBlock(nn.Module):
    """Attention and feed-forward, each on a normalised copy."""

    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.attn_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, mlp_width), nn.Linear(mlp_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """b t d -> b t d."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.attn_norm(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, d))
        done: Tensor = x + self.down(functional.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))
        return done


class PlainGPT(nn.Module):
    """The model with its loss; as many parameters as whorl's of the same config."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.places = nn.Embedding(config.max_positions, config.width)
        self.blocks = nn.ModuleList(PlainBlock(config.width, config.heads, config.mlp_width) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        for matrix in (one for one in self.parameters() if one.ndim == 2):
            nn.init.normal_(matrix, 0.0, config.init_std)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the targets."""
        x = self.embed(ids) + self.places(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.norm(x), self.embed.weight)
        return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100)


def clocked_plain(arm: Arm, room: Room, marks: Marks) -> Clocked:
    """Train the plain model of an arm's shape on the same rows, fetched ahead as ours are."""
    clock = Clock(room.device, marks)
    torch.manual_seed(7)
    config = arm.config(room.vocab_size)
    model = PlainGPT(config).to(room.device)
    loss_of: Callable[[Tensor, Tensor], Tensor] = torch.compile(model, dynamic=False) if room.device.type == "cuda" else model
    rate = arm.optimizer["rate"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    for number, batch in enumerate(ahead(room.loader(arm.rows, arm.width).batch, 0, marks.steps), start=1):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, number / RISE_STEPS)
        total = torch.zeros((), device=room.device)
        micros = _micros(batch, arm.micro_rows, room.device)
        for ids, targets in micros:
            with torch.autocast(room.device.type, torch.bfloat16):
                loss = loss_of(ids, targets) / len(micros)
            torch.autograd.backward(loss)
            total += loss.detach()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.tick(number, total)
    return clock.done(arm.rows * arm.width, flops_per_token(config, arm.width))


def _micros(batch: Batch, micro_rows: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Ids and targets on the device, some rows at a time; a target without loss is -100."""
    ids, targets = torch.from_numpy(batch.ids), torch.from_numpy(batch.targets)
    targets = targets.masked_fill(torch.from_numpy(batch.weights) == 0, -100)
    pieces = [slice(start, start + micro_rows) for start in range(0, len(ids), micro_rows)]
    return [(ids[piece].to(device), targets[piece].to(device)) for piece in pieces]

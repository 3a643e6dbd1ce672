"""A mixer that remembers: keys and values of earlier passes, one behind another, and attention by the plain formula."""

import torch
from torch.nn import functional

from whorl.model.mask import MaskSpec, visible


class Remembering:
    def __init__(self, config):
        self.config = config
        self.kept = {}  # layer -> keys and values so far

    def __call__(self, layer, look, heads):
        del look
        q, *new = heads
        before = self.kept.get(layer)
        k, v = new if before is None else (torch.cat(pair, dim=2) for pair in zip(before, new, strict=True))
        self.kept[layer] = k, v
        rules = MaskSpec(causal=True, window=self.config.view(layer).window)
        seen = visible(rules, q.shape[2], device=q.device, past=k.shape[2] - q.shape[2])
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None], enable_gqa=True)


def in_pieces(model, pieces):
    """Hidden states of pieces that follow one another."""
    mixer, past, found = Remembering(model.config), 0, []
    for piece in pieces:
        positions = torch.arange(past, past + piece.shape[1]).expand_as(piece)
        found.append(model(piece, positions=positions, mixer=mixer))
        past += piece.shape[1]
    return torch.cat(found, dim=1)

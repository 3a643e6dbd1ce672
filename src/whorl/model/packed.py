"""model/packed: a model whose products read packed copies of the weights, for decoding: what is read is what decoding costs.

Matrices of the blocks (experts' too) and the output matrix are packed once, those of one input one below another; routers in
float32 whatever the format; embeddings and norms stay as they are. For answering only: nothing here has a gradient, and
training belongs to the model that the twin was made of. The formats and their arithmetic are model/packs.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from whorl.core.errors import ConfigError, ResourceError
from whorl.model.attention import Attention
from whorl.model.experts import Experts
from whorl.model.fp8 import check_units
from whorl.model.layers import GatedMLP, LayerNorm, Linear, RMSNorm
from whorl.model.packs import Format, Pack, pack_matrix, unfit
from whorl.model.router import Router, Routing
from whorl.model.team import can_run
from whorl.model.transformer import Transformer

__all__ = ["Packing", "Weights", "pack", "pack_fault", "packed_bytes"]

Chosen = Literal["as_is", Format]
Weights = Literal["auto", Chosen]  # auto: packed in what the model computes in where that is done here, else as they are
_LOOPED = frozenset({"fp32", "int8", "int4"})  # formats that only loops on this machine's processor know


class Packing(NamedTuple):
    """What became of the matrices."""

    weights: Chosen
    num_packed: int
    fallen: tuple[str, ...]  # those that the format does not take, packed in bf16 instead: name and reason


class _Packed:
    """The product of maps of one input, from what was packed; see layers.Product."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def __call__(self, x: Tensor, weights: tuple[Tensor, ...], biases: tuple[Tensor | None, ...]) -> Tensor:
        del weights, biases
        return self.pack(x, out_dtype=x.dtype)


class _Logits(_Packed):
    """The output matrix where logits are wanted: float32 sums, not rounded."""

    def __call__(self, x: Tensor, weights: tuple[Tensor, ...], biases: tuple[Tensor | None, ...]) -> Tensor:
        del weights, biases
        return self.pack(x, out_dtype=torch.float32)


class _PackedExperts:
    """Chosen experts, each multiplied with the rows that chose it; experts nobody chose are not read."""

    def __init__(self, experts: Experts, inner: list[Pack], downs: list[Pack]) -> None:
        self._between, self._inner, self._downs = experts.between, inner, downs

    @property
    def size_bytes(self) -> int:
        """Of all experts."""
        return sum(one.size_bytes for one in (*self._inner, *self._downs))

    def __call__(self, x: Float[Tensor, "n d"], routing: Routing) -> Float[Tensor, "n d"]:
        """The weighted sum of each token's experts, summed in float32 in the order of its choices."""
        parts = x.new_empty(*routing.chosen.shape, x.shape[-1])  # n top d
        for expert in torch.unique(routing.chosen).tolist():  # the host must know whom to ask
            token, slot = (routing.chosen == expert).nonzero(as_tuple=True)
            parts[token, slot] = self._one(expert, x[token])
        return (parts * routing.weights.unsqueeze(-1)).sum(dim=1, dtype=torch.float32).to(x.dtype)

    def _one(self, expert: int, rows: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        inner = self._between(self._inner[expert](rows, out_dtype=rows.dtype))
        return self._downs[expert](inner, out_dtype=rows.dtype)


def pack_fault(weights: Weights, device: torch.device) -> str:
    """Why weights cannot be packed so on this device; empty where they can."""
    if weights == "fp8":
        try:
            check_units(device)
        except ResourceError as fault:
            return f"weights=fp8: {str(fault).removeprefix('fp8: ').rpartition(';')[0]}; take int8, bf16 or as_is"
    if weights in _LOOPED and device.type != "cpu":
        return f"weights={weights}: the model is on '{device}', want the CPU; take fp8, bf16 or as_is"
    if weights in _LOOPED and not can_run():
        return f"weights={weights}: torch computes on other threads here than GNU OpenMP's, want these; take bf16 or as_is"
    return ""


def pack(model: Transformer, weights: Weights) -> Packing:
    """Set the model's products to read packed copies, and let go of what was packed (its tensors become empty; their shapes
    stay). Give it a twin: who else holds the parameters keeps them. Raises ConfigError where `pack_fault` names a fault."""
    fault = pack_fault(weights, model.head_weight.device)
    if fault:
        raise ConfigError(fault)
    chosen = _chosen(model, weights)
    if chosen == "as_is":
        return Packing(chosen, 0, ())
    packer = _Packer(chosen)
    for name, module in model.blocks.named_modules():
        packer.take(f"blocks.{name}", module)
    for module in model.modules():
        if isinstance(module, RMSNorm | LayerNorm):
            _widen(module)
    head = packer.packed("head", (model.head_weight,), (model.head_bias,))
    model.head_product, model.logit_product = _Packed(head), _Logits(head)
    if model.unembed is not None:
        _let_go(model.unembed.weight)
    return Packing(chosen, packer.count, tuple(packer.fallen))


def packed_bytes(model: Transformer) -> int:
    """Bytes of weights that are read to decode one token: of embeddings a row each, of experts those a token is given to."""
    embeddings = [one for one in (model.embed, model.places, model.segments) if one is not None]
    skipped = {id(one.weight) for one in embeddings}
    total = sum(one.weight.shape[1] * one.weight.element_size() for one in embeddings)
    share = model.config.experts_per_token / model.config.experts if model.config.experts else 1.0
    for module in model.modules():
        factor = share if isinstance(module, Experts) else 1.0
        own = sum(_held_bytes(one) for one in module.parameters(recurse=False) if id(one) not in skipped)
        total += round(factor * (own + sum(one.size_bytes for one in _packs(module))))
    is_tied_and_plain = model.unembed is None and not isinstance(model.head_product, _Packed)
    return total + (model.embed.weight.nbytes if is_tied_and_plain else 0)


def _chosen(model: Transformer, weights: Weights) -> Chosen:
    if weights != "auto":
        return weights
    if model.compute_dtype is torch.bfloat16:
        return "bf16"
    is_looped = model.compute_dtype is torch.float32 and not pack_fault("fp32", model.head_weight.device)
    return "fp32" if is_looped else "as_is"


class _Packer:
    """Goes through the modules and remembers what did not fit."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._seen: set[int] = set()
        self.count = 0
        self.fallen: list[str] = []

    def take(self, name: str, module: nn.Module) -> None:
        """Pack a module's matrices, unless they were packed with those beside them."""
        if isinstance(module, Attention):
            self._share(name, module, (module.q, module.k, module.v))
        elif isinstance(module, GatedMLP):
            self._share(name, module, (module.gate, module.up))
        elif isinstance(module, Experts):
            self._experts(name, module)
        elif isinstance(module, Router) and not pack_fault("fp32", module.weight.device):
            module.product = _Packed(pack_matrix(module.weight, None, "fp32"))
            _let_go(module.weight)
        elif isinstance(module, Linear) and id(module) not in self._seen:
            self._share(name, module, (module,))

    def packed(self, name: str, matrices: tuple[Tensor, ...], biases: tuple[Tensor | None, ...]) -> Pack:
        """Matrices of one input, one below another."""
        given = [one for one in biases if one is not None]
        stacked, bias = torch.cat(matrices), torch.cat(given) if given else None
        fault = unfit(stacked, self._form)
        if fault:
            self.fallen.append(f"{name}: {fault}")
        self.count += 1
        return pack_matrix(stacked, bias, "bf16" if fault else self._form)

    def _share(self, name: str, module: Attention | GatedMLP | Linear, maps: tuple[Linear, ...]) -> None:
        pack = self.packed(name, tuple(one.weight for one in maps), tuple(one.bias for one in maps))
        module.product = _Packed(pack)
        for one in maps:
            self._seen.add(id(one))
            _let_go(one.weight)

    def _experts(self, name: str, experts: Experts) -> None:
        if experts.shared_gate is not None and self._form != "fp32":
            self._seen.add(id(experts.shared_gate))  # one row
        stacks = [experts.ups] if experts.gates is None else [experts.gates, experts.ups]
        inner = [self.packed(f"{name}.{n}.inner", one, (None,)) for n, one in enumerate(zip(*stacks, strict=True))]
        downs = [self.packed(f"{name}.{n}.down", (one,), (None,)) for n, one in enumerate(experts.downs)]
        experts.mixed = _PackedExperts(experts, inner, downs)
        for stack in (*stacks, experts.downs):
            _let_go(stack)


def _widen(norm: RMSNorm | LayerNorm) -> None:
    """float32 weights, whatever they were kept in: with these a norm is one pass (model/fused)."""
    for parameter in norm.parameters():
        parameter.data = parameter.data.float()


def _let_go(parameter: nn.Parameter) -> None:
    """Empty it. Whoever reads it by mistake reads what is not a number."""
    hole = torch.full((), float("nan"), dtype=parameter.dtype, device=parameter.device)
    parameter.data = hole.expand(parameter.shape)


def _held_bytes(parameter: nn.Parameter) -> int:
    return parameter.nbytes if parameter.untyped_storage().nbytes() >= parameter.nbytes else 0  # it was let go


def _packs(module: nn.Module) -> Iterator[Pack | _PackedExperts]:
    for hook in (getattr(module, "product", None), getattr(module, "head_product", None), getattr(module, "mixed", None)):
        if isinstance(hook, _Packed):
            yield hook.pack
        elif isinstance(hook, _PackedExperts):
            yield hook

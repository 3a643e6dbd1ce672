"""train/mix: the data of a fit: one artifact, or several mixed by weight.

A mixture is dealt by tokens/mixture; this file is its form in a recipe, and what happens when a source has been read often
enough. Does not choose weights.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field

from whorl.core.config import Config, Ref
from whorl.core.errors import ConfigError
from whorl.core.quantity import Length
from whorl.core.seed import Seed
from whorl.tokens.loader import Loader
from whorl.tokens.mixture import Mixture, Source
from whorl.train.length import num_steps
from whorl.train.objectives import Material

__all__ = ["Batches", "Data", "Ingredient", "Mix", "Total", "batches", "ingredients", "total_steps"]

Batches = Loader | Mixture


class Ingredient(Config):
    """One source of a mixture."""

    from_: Ref[Literal["tokens", "dialogues"]] = Field(alias="from")
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)  # its share of the tokens is weight / sum of weights
    max_epochs: float | None = Field(default=None, gt=0)  # passes over it at most; default: as many as the length takes


class Mix(Config):
    """Several sources, read side by side from the first step to the last."""

    mix: tuple[Ingredient, ...] = Field(min_length=1)
    on_spent: Literal["fail", "stop"] = "fail"  # the length needs more than max_epochs of a source: refuse, or end before


Data = Ref[Literal["tokens", "dialogues"]] | Mix


def ingredients(data: "Ref[Any] | Mix") -> tuple[Ingredient, ...]:
    """The sources of a fit's data, in their order."""
    return (Ingredient(from_=data),) if isinstance(data, Ref) else data.mix


def batches(data: "Ref[Any] | Mix", materials: Sequence[Material], *, rows: int, width: int, seed: Seed) -> Batches:
    """Batches of the materials of `ingredients(data)`. Raises DataError or ConfigError when one cannot be read as asked."""
    if isinstance(data, Ref):
        return materials[0].loader(rows=rows, width=width, seed=seed)
    sources = [
        Source(str(one.from_), material.sequences, one.weight, material.on_long, one.max_epochs)
        for one, material in zip(data.mix, materials, strict=True)
    ]
    return Mixture(sources, rows=rows, width=width, seed=seed)


class Total(NamedTuple):
    """How many steps a fit takes, and whether a spent source made it fewer than were written."""

    steps: int
    is_cut: bool


def total_steps(length: Length, data: "Ref[Any] | Mix", found: Batches) -> Total:
    """Steps of the written length, or fewer where `on_spent: stop` ends it. Raises ConfigError where it may not end."""
    per_epoch = found.steps_per_epoch if isinstance(found, Loader) else 0
    steps = num_steps(length, tokens_per_step=found.tokens_per_step, steps_per_epoch=per_epoch)
    if isinstance(found, Loader) or found.max_steps is None or steps <= found.max_steps:
        return Total(steps, is_cut=False)
    assert isinstance(data, Mix), "a mixture is read from a mix"
    if data.on_spent == "stop" and found.max_steps:
        return Total(found.max_steps, is_cut=True)
    needed = ", ".join(f"{name} {epochs:.3g} times" for name, epochs in found.epochs(steps).items())
    raise ConfigError(
        f"length '{length}' is {steps} steps and reads {needed}, but max_epochs ends it after {found.max_steps} steps "
        f"({found.max_steps * found.tokens_per_step} tokens); shorten length, raise max_epochs, or write on_spent: stop"
    )

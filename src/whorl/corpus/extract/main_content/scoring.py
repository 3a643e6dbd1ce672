"""corpus/extract/main_content/scoring: how likely each block is main content, judged twice.

First by a logistic regression over a block's own figures, then by a small network over the same and the first scores around it;
items of one list lean towards each other. The coefficients in weights.safetensors come from `python -m bench.fits.extraction`,
which says on what; nothing here knows a page. Time is linear in the blocks.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from whorl.core.kernels import kernel
from whorl.corpus.extract.main_content.context import context_figures
from whorl.corpus.extract.main_content.figures import column, text_figures
from whorl.corpus.extract.main_content.headings import heading_figures
from whorl.corpus.extract.main_content.surroundings import Named, Surroundings, sums, surroundings_of, tree_figures
from whorl.text.html import Tree
from whorl.text.html_blocks import Blocks, coarser

__all__ = [
    "WEIGHTS_FILE",
    "Linear",
    "Network",
    "Weights",
    "affine",
    "first_figures",
    "leaning",
    "scores",
    "second_figures",
    "weights",
]

WEIGHTS_FILE = Path(__file__).with_name("weights.safetensors")
_LEAN = 0.5  # of a listed block's log-odds are its list's
_MAX_WEIGHT = 200  # characters: a long item does not speak for the whole list
_MAX_LOGIT = 9.0
_MAX_BLOCKS = 50_000  # judged one by one: some 250 MB of figures; real pages rarely have 5,000


class Linear(NamedTuple):
    """A logistic regression."""

    slopes: npt.NDArray[np.float64]
    intercept: float

    def score(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probability of each block."""
        return _sigmoid(affine(columns, self.slopes[:, None], np.array([self.intercept]))[:, 0])


class Network(NamedTuple):
    """One hidden layer of rectified units, a logistic output."""

    hidden: npt.NDArray[np.float64]  # figures x units
    hidden_bias: npt.NDArray[np.float64]
    output: npt.NDArray[np.float64]
    output_bias: float

    def score(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probability of each block."""
        units = np.maximum(affine(columns, self.hidden, self.hidden_bias), 0)
        return _sigmoid(affine(units, self.output[:, None], np.array([self.output_bias]))[:, 0])


class Weights(NamedTuple):
    """By the look of a block alone, and with its neighbours' scores."""

    names: tuple[str, ...]  # of the second judgement's figures; the first takes as many of them as it has slopes
    first: Linear
    second: Network


@lru_cache(maxsize=1)
def weights() -> Weights:
    """The fitted coefficients."""
    with safe_open(WEIGHTS_FILE, framework="numpy") as stored:
        names = tuple(json.loads(stored.metadata()["names"]))
        slopes, intercept = (stored.get_tensor(f"first.{name}").astype(np.float64) for name in Linear._fields)
        hidden, hidden_bias, output, bias = (stored.get_tensor(f"second.{name}").astype(np.float64) for name in Network._fields)
    return Weights(names, Linear(slopes, float(intercept[0])), Network(hidden, hidden_bias, output, float(bias[0])))


@kernel()
def affine(columns, slopes, bias):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """`columns @ slopes + bias`, passing over zeros, which most figures are; sums in one order,
    so the same on every machine."""
    out = np.empty((len(columns), len(bias)))
    for i in range(len(columns)):
        for k in range(len(bias)):
            out[i, k] = bias[k]
        for j in np.flatnonzero(columns[i]):
            value = columns[i, j]
            for k in range(len(bias)):
                out[i, k] += value * slopes[j, k]
    return out


def scores(tree: Tree, blocks: Blocks) -> npt.NDArray[np.float64]:
    """Probability that each block is main content; of a page with very many, of as many neighbours at once as it takes."""
    by = -(-len(blocks) // _MAX_BLOCKS)
    if by > 1:
        return np.repeat(scores(tree, coarser(blocks, by)), by)[: len(blocks)]
    around = surroundings_of(tree, blocks)
    figures = first_figures(tree, blocks, around)
    first = weights().first.score(figures.columns)
    both = second_figures(blocks, around, figures, first)
    assert tuple(both.names) == weights().names, "the weights belong to other figures; run bench.fits.extraction"
    return leaning(blocks, around, weights().second.score(both.columns))


def first_figures(tree: Tree, blocks: Blocks, around: Surroundings) -> Named:
    """Everything about a block but scores."""
    text = text_figures(blocks)
    own = Named(list(text), np.column_stack(list(text.values())))
    return _beside(own, *tree_figures(blocks, around), *heading_figures(tree, blocks, around))


def second_figures(blocks: Blocks, around: Surroundings, figures: Named, first: npt.NDArray[np.float64]) -> Named:
    """The same and the first scores around it."""
    return _beside(figures, context_figures(blocks, around, first))


def leaning(blocks: Blocks, around: Surroundings, score: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores where the blocks of one list or table lean towards what most of it is."""
    weight = np.minimum(column(blocks, "num_chars"), _MAX_WEIGHT)
    log_odds = np.log(np.maximum(score, 1e-4)) - np.log(np.maximum(1 - score, 1e-4))
    of_list = (sums(blocks, log_odds * weight) / np.maximum(sums(blocks, weight), 1))[around.group]
    return _sigmoid(np.where(around.group > 0, (1 - _LEAN) * log_odds + _LEAN * of_list, log_odds))


def _sigmoid(logit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -_MAX_LOGIT, _MAX_LOGIT))))


def _beside(*groups: Named) -> Named:
    return Named([name for group in groups for name in group.names], np.hstack([group.columns for group in groups]))

"""bench/fits/extraction: make the coefficients of `main_content` from labelled pages; no claim: run by hand when needed.

Reads the development half of the pages (bench.extraction says which) and nothing of the other. A line's label is whether a
snippet marked by the set's authors is in it; lines without one are labelled, with a small weight, by whether trafilatura keeps
them, smaller still where resiliparse does otherwise. Prints F1 in cross-validation over pages, then writes weights.safetensors.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file

from bench.extraction import Counted, LabelledPage, counted, development_half, labelled_pages, normal, peers
from bench.peers import real_data
from whorl.corpus.extract.main_content.hints import HINTS
from whorl.corpus.extract.main_content.scoring import WEIGHTS_FILE, Linear, Network, first_figures, leaning, second_figures
from whorl.corpus.extract.main_content.surroundings import Named, Surroundings, surroundings_of
from whorl.corpus.markup import page_bytes
from whorl.text.html import parse
from whorl.text.html_blocks import Blocks, blocks_of
from whorl.text.html_hints import hint_automaton
from whorl.text.html_render import render

SNIPPET_WEIGHT = 20.0  # of a line with a snippet; others weigh at most 1
DISPUTED = 0.4  # of a line that the two peers judge differently
RIDGE = 60.0
INNER_FOLDS, OUTER_FOLDS = 4, 6
# The network: as many as NETWORKS are trained from different draws and stored as one, their outputs averaged.
NETWORKS, UNITS, DROP_FIGURES, DROP_UNITS, EPOCHS, BATCH, RATE, DECAY = 8, 32, 0.2, 0.3, 12, 512, 3e-3, 0.05
MIN_SPREAD = 1 / 6  # a rare hint says no more than one six deviations from its mean
THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5)

Figures = npt.NDArray[np.float64]


class Example(NamedTuple):
    """A page ready for fitting."""

    page: LabelledPage
    lines: list[str]
    blocks: Blocks
    around: Surroundings
    figures: Named
    labels: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]


class Fit(NamedTuple):
    """Both judgements."""

    names: tuple[str, ...]
    first: Linear
    second: Network


def main() -> int:
    """Fit, print, write."""
    torch.set_num_threads(1)  # the same sums in the same order
    pages = development_half(labelled_pages(real_data()))
    careful, quick = peers()["trafilatura"], peers()["resiliparse, no comments"]
    examples = [example(page, careful(page.html), quick(page.html)) for page in pages]
    print(f"{len(examples)} pages, {sum(len(one.blocks) for one in examples)} lines")
    guesses = cross_validated(examples)
    print("cross-validated F1:", ", ".join(f"{f1(examples, guesses, at):.4f} at {at}" for at in THRESHOLDS))
    final = fit(examples)
    write(final)
    fitted = [guess(final, one) for one in examples]
    print("on the pages fitted to:", ", ".join(f"{f1(examples, fitted, at):.4f} at {at}" for at in THRESHOLDS))
    print(f"wrote {WEIGHTS_FILE.name}, {WEIGHTS_FILE.stat().st_size} bytes")
    return 0


def example(page: LabelledPage, careful: str, quick: str) -> Example:
    """Figures and labels of one page."""
    tree = parse(page_bytes(page.html), hint_automaton(HINTS))
    blocks = blocks_of(tree)
    lines = [normal(render(tree, blocks, np.arange(len(blocks)) == i)) for i in range(len(blocks))]
    around = surroundings_of(tree, blocks)
    labels, weights = labelled(page, lines, normal(careful), normal(quick))
    return Example(page, lines, blocks, around, first_figures(tree, blocks, around), labels, weights)


class Labels(NamedTuple):
    """Of each line: 1 to keep, 0 to drop; and how much it matters."""

    labels: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]


def labelled(page: LabelledPage, lines: Sequence[str], careful: str, quick: str) -> Labels:
    """Labels by the peers, overruled where there is a snippet."""
    in_careful = np.array([line in careful for line in lines])
    in_quick = np.array([line in quick for line in lines])
    length = np.array([len(line) for line in lines])
    labels = np.where(length < 4, in_careful & in_quick, in_careful).astype(np.float64)
    weights = np.where(in_careful == in_quick, 1.0, DISPUTED) * np.minimum(1, np.log1p(length) / 5)
    for snippet in page.wanted:
        places = found(snippet, lines)
        kept = [place for place in places if labels[place[0]] == 1] or places
        for place in kept[:1]:
            labels[place], weights[place] = 1, SNIPPET_WEIGHT
    for snippet in page.unwanted:
        for place in found(snippet, lines):
            labels[place], weights[place] = 0, SNIPPET_WEIGHT
    return Labels(labels, weights)


def found(snippet: str, lines: Sequence[str]) -> list[list[int]]:
    """For each occurrence of a snippet in the joined lines, the lines it touches."""
    joined, sought = " ".join(lines), normal(snippet)
    starts = np.cumsum([0] + [len(line) + 1 for line in lines])[:-1]
    places, at = [], joined.find(sought)
    while at >= 0:
        begin, end = np.searchsorted(starts, [at, at + len(sought) - 1], side="right") - 1
        places.append(list(range(int(begin), int(end) + 1)))
        at = joined.find(sought, at + 1)
    return places


def fold_of(one: Example, folds: int) -> int:
    """The fold a page is left out in, from its address alone."""
    return int(hashlib.sha256(b"fold " + one.page.url.encode()).hexdigest(), 16) % folds


def cross_validated(examples: Sequence[Example]) -> list[Figures]:
    """Score of every line, from a fit that has not seen its page."""
    guesses: dict[str, Figures] = {}
    for fold in range(OUTER_FOLDS):
        made = fit([one for one in examples if fold_of(one, OUTER_FOLDS) != fold])
        guesses |= {one.page.url: guess(made, one) for one in examples if fold_of(one, OUTER_FOLDS) == fold}
    return [guesses[one.page.url] for one in examples]


def fit(examples: Sequence[Example]) -> Fit:
    """Both judgements; the second is fitted over first scores that have not seen the page either."""
    first = regression(examples)
    unseen = [regression([one for one in examples if inner_fold(one) != fold]) for fold in range(INNER_FOLDS)]
    figures = [
        second_figures(one.blocks, one.around, one.figures, unseen[inner_fold(one)].score(one.figures.columns))
        for one in examples
    ]
    return Fit(tuple(figures[0].names), first, network(figures, examples))


def inner_fold(one: Example) -> int:
    """The fold of the first judgement; unrelated to the outer one."""
    return fold_of(one, OUTER_FOLDS * INNER_FOLDS) // OUTER_FOLDS


def regression(examples: Sequence[Example]) -> Linear:
    """Weighted logistic regression with a ridge on standardized figures, by Newton's method."""
    columns = np.concatenate([one.figures.columns for one in examples])
    labels, weights = labels_of(examples)
    mean, spread = columns.mean(axis=0), columns.std(axis=0) + 1e-6
    design = np.column_stack([np.ones(len(columns)), (columns - mean) / spread])
    ridge = np.diag([0.0] + [RIDGE] * columns.shape[1])
    betas = np.zeros(design.shape[1])
    for _ in range(20):
        score = 1 / (1 + np.exp(-np.clip(design @ betas, -30, 30)))
        slope = design.T @ (weights * (score - labels)) + ridge @ betas
        curve = (design * (weights * score * (1 - score) + 1e-9)[:, None]).T @ design + ridge
        step = np.linalg.solve(curve, slope)
        betas -= step
        if np.abs(step).max() < 1e-4:
            break
    raw = betas[1:] / spread
    return Linear(raw, float(betas[0] - raw @ mean))


def labels_of(examples: Sequence[Example]) -> Labels:
    """Labels and weights of all lines."""
    return Labels(np.concatenate([one.labels for one in examples]), np.concatenate([one.weights for one in examples]))


def network(figures: Sequence[Named], examples: Sequence[Example]) -> Network:
    """Some networks from different draws, side by side in one."""
    columns = np.concatenate([one.columns for one in figures])
    mean, spread = columns.mean(axis=0), np.maximum(columns.std(axis=0), MIN_SPREAD)
    standard = torch.from_numpy(((columns - mean) / spread).astype(np.float32))
    labels, weights = (torch.from_numpy(of.astype(np.float32)) for of in labels_of(examples))
    made = [trained(standard, labels, weights, seed=seed) for seed in range(NETWORKS)]
    hidden, hidden_bias, output, bias = (
        np.concatenate(of, axis=-1 if len(of[0]) == 1 else 0) for of in zip(*made, strict=True)
    )
    slopes = hidden.T.astype(np.float64) / spread[:, None]
    return rounded(Network(slopes, hidden_bias - mean @ slopes, output[0] / NETWORKS, float(bias.mean())))


def rounded(made: Network) -> Network:
    """A network as it is stored, in single precision."""
    hidden, hidden_bias, output, bias = (np.asarray(value, dtype=np.float32).astype(np.float64) for value in made)
    return Network(hidden, hidden_bias, output, float(bias))


def trained(standard: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, *, seed: int) -> list[npt.NDArray[np.float32]]:
    """Weights and biases of one network: AdamW, one cycle of the learning rate, dropout."""
    torch.manual_seed(seed)
    layers = [
        torch.nn.Linear(standard.shape[1], UNITS),
        torch.nn.ReLU(),
        torch.nn.Dropout(DROP_UNITS),
        torch.nn.Linear(UNITS, 1),
    ]
    net = torch.nn.Sequential(torch.nn.Dropout(DROP_FIGURES), *layers)
    steps = EPOCHS * -(-len(standard) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(standard)), BATCH):
            losses = torch.nn.functional.binary_cross_entropy_with_logits(
                net(standard[rows])[:, 0], labels[rows], reduction="none"
            )
            optimizer.zero_grad()
            (losses * weights[rows]).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return [parameter.detach().numpy() for parameter in net.parameters()]


def write(made: Fit) -> None:
    """Store both judgements as the extractor reads them."""
    arrays = {"first.slopes": made.first.slopes, "first.intercept": np.array([made.first.intercept])}
    for name, value in made.second._asdict().items():
        arrays[f"second.{name}"] = np.ascontiguousarray(np.atleast_1d(np.asarray(value, dtype=np.float32)))
    save_file(arrays, WEIGHTS_FILE, metadata={"names": json.dumps(made.names)})


def guess(made: Fit, one: Example) -> Figures:
    """Score of every line of a page."""
    figures = second_figures(one.blocks, one.around, one.figures, made.first.score(one.figures.columns))
    return leaning(one.blocks, one.around, made.second.score(figures.columns))


def f1(examples: Sequence[Example], guesses: Sequence[Figures], threshold: float) -> float:
    """F1 over the snippets of all pages, of the scored lines alone."""
    total = Counted(0, 0, 0, 0)
    for one, score in zip(examples, guesses, strict=True):
        kept = " ".join(line for line, value in zip(one.lines, score.tolist(), strict=True) if value >= threshold)
        total = total.plus(counted(one.page, kept))
    return total.f1


if __name__ == "__main__":
    sys.exit(main())

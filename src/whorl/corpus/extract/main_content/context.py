"""corpus/extract/main_content/context: how the first scores of a block's neighbours and of the elements around it look.

One odd line between paragraphs is likely text, one good line in a list of teasers is likely not: these figures let the second
judgement say so. Widths are in blocks.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from whorl.corpus.extract.main_content.figures import column, shifted
from whorl.corpus.extract.main_content.surroundings import Named, Surroundings, sums
from whorl.text.html_blocks import Blocks

__all__ = ["context_figures"]

_LEVELS, _NEIGHBOURS, _WIDTHS = (1, 2, 3, 4, 5), (1, 2, 3, -1, -2, -3), (4, 10)
_MAX_WEIGHT = 400  # characters: a long paragraph does not outweigh everything around it
_CORE_SCORE, _CORE_WORDS = 0.7, 12  # of a block that is surely text
_FAR = 50


def context_figures(blocks: Blocks, around: Surroundings, score: npt.NDArray[np.float64]) -> Named:
    """About forty figures of each block."""
    chars = column(blocks, "num_chars")
    mass = score * chars
    total = max(float(mass.sum()), 1.0)
    before = (np.cumsum(mass) - mass) / total
    after = 1 - before - mass / total
    figures = {
        "score": score,
        "log_odds": np.log(score + 1e-4) - np.log(1 - score + 1e-4),
        "mass": np.full(len(blocks), np.log1p(total)),
        "mass_share": mass / total,
        "mass_before": before,
        "mass_after": after,
        "none_before": before < 0.02,
        "none_after": after < 0.02,
        **_in_group(blocks, around, mass),
        **_in_elements(blocks, around, mass, total),
        **{f"score{by:+d}": shifted(score, by) for by in _NEIGHBOURS},
        **_in_windows(score, np.minimum(chars, _MAX_WEIGHT)),
        **_from_core((score > _CORE_SCORE) & (column(blocks, "num_words") >= _CORE_WORDS)),
    }
    return Named(list(figures), np.column_stack(list(figures.values())))


def _in_elements(
    blocks: Blocks, around: Surroundings, mass: npt.NDArray[np.float64], total: float
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Mean score in the elements around a block, and their share of all that is good."""
    inside = sums(blocks, mass)
    mean = inside / np.maximum(sums(blocks, column(blocks, "num_chars")), 1)
    element = blocks.element
    figures = {"mean0": mean[element]}
    for level in _LEVELS:
        element = around.parent[element]
        figures[f"mean{level}"] = mean[element]
        figures[f"part{level}"] = inside[element] / total
    return figures


def _in_group(blocks: Blocks, around: Surroundings, mass: npt.NDArray[np.float64]) -> Mapping[str, npt.NDArray[np.float64]]:
    """For blocks in a list or table: its mean score and links, and the scores of what is right before and after it."""
    chars = column(blocks, "num_chars")
    is_in = around.group > 0
    first, end = blocks.first[around.group], blocks.end[around.group]
    score = np.concatenate([np.zeros(1), mass / chars, np.zeros(1)])
    ahead, behind = score[first] * is_in, score[end + 1] * is_in
    every = np.maximum(sums(blocks, chars), 1)[around.group]
    return {
        "in_group": is_in,
        "group_mean": sums(blocks, mass)[around.group] / every * is_in,
        "group_link": sums(blocks, blocks.link_chars)[around.group] / every * is_in,
        "group_ahead": ahead,
        "group_behind": behind,
        "group_between": np.minimum(ahead, behind),
        "group_size": np.log1p(end - first) * is_in,
    }


def _in_windows(score: npt.NDArray[np.float64], weight: npt.NDArray[np.int64]) -> Mapping[str, npt.NDArray[np.float64]]:
    """Mean score of the blocks nearby, before, and after."""
    good = np.concatenate([np.zeros(1), np.cumsum(score * weight)])
    every = np.concatenate([np.zeros(1), np.cumsum(weight)])
    place = np.arange(len(score))
    figures = {}
    for width in _WIDTHS:
        first, last = np.maximum(place - width, 0), np.minimum(place + width + 1, len(score))
        for name, begin, end in (("near", first, last), ("ahead", first, place), ("behind", place + 1, last)):
            figures[f"{name}{width}"] = (good[end] - good[begin]) / np.maximum(every[end] - every[begin], 1)
    return figures


def _from_core(is_core: npt.NDArray[np.bool_]) -> Mapping[str, npt.NDArray[np.float64]]:
    """Log of the distance to the nearest block that is surely text, each way; a block has distance 0 to itself only ahead."""
    place = np.arange(len(is_core))
    ahead = np.maximum.accumulate(np.where(is_core, place, -2 * _FAR))
    ahead = np.concatenate([np.full(1, -2 * _FAR), ahead[:-1]])
    behind = np.minimum.accumulate(np.where(is_core, place, len(is_core) + 2 * _FAR)[::-1])[::-1]
    return {
        "from_core": np.log1p(np.minimum(place - ahead, _FAR)),
        "to_core": np.log1p(np.minimum(behind - place, _FAR)),
        "in_core": (ahead >= 0) & (behind < len(is_core)),
    }

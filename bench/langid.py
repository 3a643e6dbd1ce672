"""bench/langid: how often the language is right, and how fast, beside raw pycld2 and py3langid.

Gold: the Universal Declaration of Human Rights (nltk udhr2), every file in a language that all three know, by line and by
whole text; all answers are brought to the same codes and scored alike. English recall: film reviews and speeches, whole. Speed:
the film reviews, one thread, rounds of ours, raw pycld2 and the peer in turn, medians. Misses when ours is less often right
than raw pycld2 as it comes. Ours asks pycld2 for a guess where it has no answer: `pycld2 with guesses` shows what that alone
brings.
"""

import json
import statistics
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pycld2

from bench.machine import machine
from bench.peers import ask_peer, peer_python, real_data
from bench.real_texts import zipped_texts
from whorl.text.language import known_languages, languages, primary_subtag

PEER = ("py3langid==0.4.0", "numpy==2.3.5")
SCRIPT = Path(__file__).parent / "peer_scripts" / "langid.py"
ROUNDS = 5
# ISO 639-3 (the files' names) to BCP 47; members of a macrolanguage count as it.
CODES: dict[str, str] = json.loads((Path(__file__).parent / "udhr_codes.json").read_text(encoding="utf-8"))
LENGTHS = (0, 20, 40, 80, 160)  # characters; a line belongs to the last one it reaches
CONFIDENCES = (0.0, 0.5, 0.65, 0.9)

Detector = Callable[[Sequence[str]], list[str]]


class Gold(NamedTuple):
    """Texts and the language each is in."""

    texts: list[str]
    codes: list[str]


def main() -> int:
    """Measure, print a table and the JSON line."""
    root = real_data()
    python = peer_python("langid", PEER)
    known = known_languages()
    if python is not None:
        known &= {primary_subtag(code) for code in ask_peer(python, SCRIPT, {"texts": []})["labels"]}
    lines, wholes = declarations(root / "corpus" / "nltk" / "udhr2.zip", known)
    reviews = zipped_texts(root, "movie_reviews")
    english = reviews + zipped_texts(root, "state_union")
    detectors: dict[str, Detector] = {"ours": ours, "pycld2": raw, "pycld2 with guesses": guessing}
    if python is not None:
        detectors["py3langid"] = lambda texts: list(ask_peer(python, SCRIPT, {"texts": list(texts)})["codes"])
    accuracies = {name: accuracy(detect, lines, wholes=wholes, english=english) for name, detect in detectors.items()}
    rates = speeds(reviews, python)
    num_languages = len(set(wholes.codes))
    figures = {
        **summary(rates),
        "n": f"{len(lines.texts)} lines, {len(wholes.texts)} texts in {num_languages} languages, {len(english)} documents",
        "machine": machine(),
        "accuracy": accuracies,
        "refused_by_pycld2": sum(is_refused(text) for text in english),
        "ours_by_line_length": by_length(lines),
        "ours_by_confidence": by_confidence(lines),
    }
    missed = [
        f"{what}: {figure} < {accuracies['pycld2'][what]} of raw pycld2"
        for what, figure in accuracies["ours"].items()
        if figure < accuracies["pycld2"][what]
    ]
    for name, row in accuracies.items():
        shown = "  ".join(f"{what} {figure:.2%}" for what, figure in row.items())
        print(f"{name:>20}  {shown}  {statistics.median(rates[name]) if name in rates else float('nan'):6.1f} MB/cpu-s")
    print(json.dumps({**figures, "missed": missed}))
    return 1 if missed or python is None else 0


def declarations(path: Path, known: frozenset[str]) -> tuple[Gold, Gold]:
    """Lines with a letter, and whole texts, of every file in a known language."""
    lines, wholes = Gold([], []), Gold([], [])
    with zipfile.ZipFile(path) as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".txt") and _code(name) in known]
        texts = [archive.read(name).decode("utf-8-sig") for name in names]
    for name, text in zip(names, texts, strict=True):
        own = [line for line in map(str.strip, text.splitlines()) if any(map(str.isalpha, line))]
        lines.texts.extend(own)
        lines.codes.extend([_code(name)] * len(own))
        wholes.texts.append(text)
        wholes.codes.append(_code(name))
    return lines, wholes


def _code(name: str) -> str:
    """The language of a file, or nothing."""
    return CODES.get(Path(name).stem.partition("_")[0], "")


def ours(texts: Sequence[str]) -> list[str]:
    """The house's answers."""
    return list(languages(pa.array(texts, pa.large_string())).codes.to_pylist())


def raw(texts: Sequence[str]) -> list[str]:
    """pycld2 as it comes; text it refuses has no language."""
    return [_first(text, best_effort=False) for text in texts]


def guessing(texts: Sequence[str]) -> list[str]:
    """pycld2 told to guess."""
    return [_first(text, best_effort=True) for text in texts]


def is_refused(text: str) -> bool:
    """Whether pycld2 raises on a text, as it does on control characters."""
    try:
        pycld2.detect(text, isPlainText=True)
    except pycld2.error:
        return True
    return False


def _first(text: str, *, best_effort: bool) -> str:
    try:
        return str(pycld2.detect(text, isPlainText=True, bestEffort=best_effort)[2][0][1])
    except pycld2.error:
        return "un"


def accuracy(detect: Detector, lines: Gold, *, wholes: Gold, english: Sequence[str]) -> dict[str, float]:
    """Shares of right answers."""
    long = [i for i, line in enumerate(lines.texts) if len(line) >= LENGTHS[1]]
    answers = [primary_subtag(code) for code in detect(lines.texts)]
    right = [answer == code for answer, code in zip(answers, lines.codes, strict=True)]
    whole = [primary_subtag(answer) == code for answer, code in zip(detect(wholes.texts), wholes.codes, strict=True)]
    return {
        "line": round(sum(right) / len(right), 5),
        f"line_of_{LENGTHS[1]}_characters": round(sum(right[i] for i in long) / len(long), 5),
        "whole_text": round(sum(whole) / len(whole), 5),
        "english_recall": round(sum(primary_subtag(code) == "en" for code in detect(english)) / len(english), 5),
    }


def by_length(lines: Gold) -> dict[str, list[float]]:
    """Accuracy and number of lines by length."""
    right = [answer == code for answer, code in zip(ours(lines.texts), lines.codes, strict=True)]
    return _binned(LENGTHS, [len(line) for line in lines.texts], right)


def by_confidence(lines: Gold) -> dict[str, list[float]]:
    """Accuracy and number of lines by the confidence given."""
    found = languages(pa.array(lines.texts, pa.large_string()))
    right = [answer == code for answer, code in zip(found.codes.to_pylist(), lines.codes, strict=True)]
    return _binned(CONFIDENCES, found.confidences.tolist(), right)


def _binned(bounds: Sequence[float], values: Sequence[float], right: Sequence[bool]) -> dict[str, list[float]]:
    rows: dict[str, list[bool]] = {f"from {bound}": [] for bound in bounds}
    for value, is_right in zip(values, right, strict=True):
        rows[f"from {max(bound for bound in bounds if bound <= value)}"].append(is_right)
    return {name: [round(sum(row) / len(row), 4), len(row)] for name, row in rows.items() if row}


def speeds(texts: list[str], python: Path | None) -> dict[str, list[float]]:
    """MB of UTF-8 per CPU-second of each round."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    column = pa.array(texts, pa.large_string())
    rates: dict[str, list[float]] = {"ours": [], "pycld2": [], **({"py3langid": []} if python else {})}
    for _ in range(ROUNDS):
        began = time.process_time()
        languages(column)
        rates["ours"].append(megabytes / (time.process_time() - began))
        began = time.process_time()
        raw(texts)
        rates["pycld2"].append(megabytes / (time.process_time() - began))
        if python is not None:
            rates["py3langid"].append(megabytes / ask_peer(python, SCRIPT, {"texts": texts})["cpu_s"])
    return rates


def summary(rates: dict[str, list[float]]) -> dict[str, object]:
    """The fields every bench has, about speed."""
    medians = {name: statistics.median(row) for name, row in rates.items()}
    peer = medians.get("py3langid")
    ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates.get("py3langid", []), strict=False)]
    return {
        "bench": "langid",
        "ours": round(medians["ours"], 2),
        "peer": None if peer is None else round(peer, 2),
        "ratio": round(statistics.median(ratios), 2) if ratios else None,
        "unit": "MB of text per CPU-second",
        "spread": [round(min(ratios), 2), round(max(ratios), 2)] if ratios else None,
        "pycld2_rate": round(medians["pycld2"], 2),
    }


if __name__ == "__main__":
    sys.exit(main())

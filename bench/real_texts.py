"""bench/real_texts: documents of named real files, and copies of them edited at a known rate.

Needs the folder of real files (`bench.peers.real_data`). Downloads nothing.
"""

import json
import random
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["edited", "plain_words", "web_documents", "zipped_texts"]

_WORD = re.compile(r"[a-z]+")


def zipped_texts(root: Path, name: str) -> list[str]:
    """Every `.txt` of `corpus/nltk/<name>.zip`, in the order of their names."""
    with zipfile.ZipFile(root / "corpus" / "nltk" / f"{name}.zip") as archive:
        names = sorted(entry for entry in archive.namelist() if entry.endswith(".txt") and "README" not in entry)
        return [archive.read(entry).decode("utf-8", "replace") for entry in names]


def web_documents(root: Path) -> list[str]:
    """Texts of the JSON Lines files below `corpus/datajuicer`."""
    paths = sorted((root / "corpus" / "datajuicer").glob("*.jsonl"))
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [str(json.loads(line)["text"]) for line in lines]


def plain_words(text: str) -> list[str]:
    """Runs of the letters a to z, lower case: words on which any two splitters agree."""
    return _WORD.findall(text.lower())


def edited(words: Sequence[str], rate: float, chooser: random.Random) -> list[str]:
    """The words with each one replaced, dropped or doubled, all three alike, with probability `rate`."""
    changed: list[str] = []
    for word in words:
        if chooser.random() >= rate:
            changed.append(word)
            continue
        kind = chooser.randrange(3)
        changed += [chooser.choice(words)] if kind == 0 else [] if kind == 1 else [word, word]
    return changed

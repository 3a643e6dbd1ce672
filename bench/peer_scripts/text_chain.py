"""bench/peer_scripts/text_chain: datatrove's filters, MinHash signatures and token counts, on one JSON question from stdin.

The question holds `documents` (a JSON file of texts) and `tokenizer`; the answer CPU-seconds by step and every filter's
reasons. Steps are made, and spaCy loaded, before the clock starts. `as_steps`: each step takes every document, in the order of
a pipeline, so that words split for one filter serve the next as far as the library keeps them. `as_pipeline`: what one step
drops, the next does not see, and what C4 cuts stays cut. With `explain`, disagreements are judged again with the other side's
words or sentences.
"""

import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from datatrove.pipeline.tokens import TokensCounter
from datatrove.utils.text import split_into_words

WORDS_IN = (gopher_repetition_filter, gopher_quality_filter, fineweb_quality_filter)


def filters() -> dict[str, Any]:
    """The four, with their defaults, in the order in which FineWeb was made."""
    return {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "c4_quality": C4QualityFilter(),
        "fineweb_quality": FineWebQualityFilter(),
    }


def verdict(step: Any, text: str) -> str:
    """The reason to drop, or an empty string."""
    found = step.filter(Document(text=text, id="0"))
    return "" if found is True else found[1]


def as_steps(texts: list[str], question: dict[str, Any]) -> dict[str, Any]:
    """CPU-seconds by step, each on every document, and reasons by filter."""
    steps = filters()
    seconds = dict.fromkeys(steps, 0.0)
    reasons: dict[str, list[str]] = {name: [] for name in steps}
    for text in texts:
        for name, step in steps.items():
            began = time.process_time()
            found = verdict(step, text)
            seconds[name] += time.process_time() - began
            reasons[name].append(found)
    with tempfile.TemporaryDirectory() as folder:
        signing = MinhashDedupSignature(output_folder=folder)
        signing.get_shingles("Made before the clock starts, like everything else here.")
        documents = (Document(text=text, id="0") for text in texts)
        began = time.process_time()
        signing.run(documents)
        seconds["minhash"] = time.process_time() - began
    counter = TokensCounter(question["tokenizer"])
    counter.tokenizer.encode("made")
    began = time.process_time()
    tokens = sum(document.metadata["token_count"] for document in counter.run(Document(text=text, id="0") for text in texts))
    seconds["encode"] = time.process_time() - began
    return {"seconds": seconds, "reasons": reasons, "tokens": tokens}


def as_pipeline(texts: list[str], question: dict[str, Any]) -> dict[str, Any]:
    """CPU-seconds of the whole, documents dropped on the way."""
    counter = TokensCounter(question["tokenizer"])
    counter.tokenizer.encode("made")
    with tempfile.TemporaryDirectory() as folder:
        signing = MinhashDedupSignature(output_folder=folder)
        signing.get_shingles("Made before the clock starts, like everything else here.")
        began = time.process_time()
        documents = (Document(text=text, id=str(number)) for number, text in enumerate(texts))
        for step in filters().values():
            documents = step.run(documents)
        kept = list(documents)
        signing.run(iter(kept))
        for _ in counter.run(iter(kept)):
            pass
        return {"pipeline_seconds": time.process_time() - began, "kept": len(kept)}


@contextlib.contextmanager
def replaced(modules: Sequence[ModuleType], name: str, value: Any) -> Iterator[None]:
    """The name in every module bound to another value."""
    before = [getattr(module, name) for module in modules]
    for module in modules:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, old in zip(modules, before, strict=True):
            setattr(module, name, old)


def explained(case: dict[str, Any], text: str) -> str:
    """Why the two sides disagree: the first change to what this side is given after which it decides as the other did."""
    step, keeps = filters()[case["filter"]], case["keeps"]
    sentences = case["sentences"]
    with replaced([c4_filters], "split_into_sentences", lambda line, _language: [line] * sentences.get(line.strip(), 1)):
        if (verdict(step, text) == "") == keeps:
            return "sentence splitter"
    trials = [
        ("word splitter", case["words"], text),
        ("letter case", [word.lower() for word in case["words"]], text),
        ("blank lines", [word.lower() for word in case["words"]], re.sub(r"(?m)^[^\S\n]+$", "", text)),
        ("line breaks", [word.lower() for word in case["words"]], "\n".join(text.splitlines())),
    ]
    for name, words, changed in trials:
        with replaced(WORDS_IN, "split_into_words", lambda _text, _language, words=words: words):
            if (verdict(step, changed) == "") == keeps:
                return name
    return "other"


def main() -> None:
    """Answer the question."""
    question = json.loads(sys.stdin.read())
    texts = json.loads(Path(question["documents"]).read_text(encoding="utf-8"))
    split_into_words("Loaded before the clock starts.")
    if "explain" in question:
        cases = json.loads(Path(question["explain"]).read_text(encoding="utf-8"))
        answer = {"classes": [explained(case, texts[case["row"]]) for case in cases]}
    else:
        answer = as_steps(texts, question) | as_pipeline(texts, question)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

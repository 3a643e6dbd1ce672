"""tasks/named: documents that are about a named thing and say in their first sentence what it does.

Serves recall questions and dialogues made from documents. Reads a finished documents folder; never follows a document's
source, and never shortens a sentence: documents whose first sentence is no fit are left out.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import xxhash
from pydantic import AfterValidator

from whorl.core.config import Part, Ref
from whorl.core.shards import iter_tables

__all__ = ["WORDINGS", "Corpus", "Named", "first_paragraph", "first_sentence", "named_documents"]

# How to ask what `{0}` does. Parts differ in the wording: an exam about training documents asks in new words.
WORDINGS: Mapping[Part, tuple[str, ...]] = {
    "train": (
        "What does {0} do?",
        "Explain {0}.",
        "What is {0} for?",
        "Describe {0} in one sentence.",
        "Tell me what {0} does.",
    ),
    "held_out": ("Can you say what {0} does?", "Say in short what {0} is for."),
    "exam": ("In one sentence, what does {0} do?", "Please explain what {0} is for."),
}
MIN_CHARS = 15
MAX_CHARS = 100  # of the sentence; long ones cost more tokens than they teach
_SENTENCE_END = re.compile(r"\.(?=\s|$)")
_PUBLIC = re.compile(r"[^_<.][^<.]*(\.[^_<.][^<.]*)*")
_PLAIN = re.compile(r"[A-Z][ -~]*\.")


def _whole(documents: Ref[Any]) -> Ref[Any]:
    if documents.part is not None:
        raise ValueError(f"'{documents}': want the whole corpus, '{documents.target}'; parts are chosen by the rules")
    return documents


Corpus = Annotated[Ref[Literal["documents"]], AfterValidator(_whole)]


class Named(NamedTuple):
    """A document's name and what its first paragraph and first sentence say."""

    doc_id: str
    name: str
    sentence: str
    paragraph: str


def first_paragraph(text: str, name: str) -> str:
    """The first paragraph on one line; a heading line (the name, perhaps with a signature) is passed over."""
    heading, _, rest = text.lstrip().partition("\n")
    title = heading.strip().partition("(")[0].rstrip(": ")
    is_heading = title.endswith(name.rpartition(".")[2]) and " " not in title.removeprefix("class ").removeprefix("def ")
    return " ".join((rest if is_heading else text).strip().partition("\n\n")[0].split())


def first_sentence(paragraph: str) -> str:
    """Its first sentence; '' where that is not 15 to 100 ASCII characters from a capital letter to a full stop."""
    end = _SENTENCE_END.search(paragraph)
    sentence = paragraph[: end.end()] if end else ""
    fits = MIN_CHARS <= len(sentence) <= MAX_CHARS and _PLAIN.fullmatch(sentence)
    return sentence if fits else ""


def named_documents(folder: Path, part: Part = "train") -> list[Named]:
    """Named documents of one part, in an order that is a hash of the name.

    Left out: names that occur twice, and private ones (a part that begins with `_` or is inside a function).
    """
    found = list(_named(folder, part))
    times = Counter(named.name for named in found)
    fitting = [named for named in found if times[named.name] == 1 and named.sentence and _PUBLIC.fullmatch(named.name)]
    return sorted(fitting, key=lambda named: (xxhash.xxh3_64_intdigest(named.name.encode()), named.name))


def _named(folder: Path, part: Part) -> Iterator[Named]:
    for table in iter_tables(folder, columns=("id", "text", "part", "meta")):
        for row in table.to_pylist():
            name = json.loads(row["meta"] or "{}").get("name") if row["part"] == part else None
            if name:
                paragraph = first_paragraph(row["text"], name)
                yield Named(row["id"], name, first_sentence(paragraph), paragraph)

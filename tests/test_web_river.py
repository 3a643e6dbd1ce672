"""The web recipe, end to end: archives and a wiki dump to token shards, and what `data` says of kept and dropped pages."""

import bz2
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

WEB = Path(__file__).parents[1] / "recipes" / "web.yaml"
REAL = os.environ.get("WHORL_REAL_DATA")


def whorl(root: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "whorl", *arguments], cwd=root, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout


def write_recipe(root: Path, **stages: dict) -> None:
    recipe = yaml.safe_load(WEB.read_text())
    for name, changes in stages.items():
        recipe["stages"][name] |= changes
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


NOUNS = [
    "river", "keeper", "lamp", "harbour", "letter", "winter", "garden", "window", "engine", "valley", "teacher", "song",
    "bridge", "market", "doctor", "island", "kitchen", "stone", "farmer", "ladder", "mirror", "nephew", "orchard", "pocket",
    "quarrel", "road", "sailor", "table", "uncle", "village", "waiter", "yard", "anchor", "basket", "candle",
]  # fmt: skip
VERBS = ["carried", "forgot", "repaired", "followed", "described", "painted", "measured", "opened", "found", "sold", "answered"]
SMALL = ["with", "from", "under", "near", "behind", "after", "before", "against", "without", "beyond", "for", "into"]


def prose(seed: int, sentences: int = 14) -> str:
    """English that the quality filters keep: few phrases twice, stop words, full stops."""
    chooser = random.Random(seed)
    said = []
    for _ in range(sentences):
        one, other, third, fourth = chooser.sample(NOUNS, 4)
        verb, small = chooser.choice(VERBS), chooser.choice(SMALL)
        said.append(
            chooser.choice(
                [
                    f"The {one} {verb} a {other} {small} {third}s, and {fourth}s have to be patient.",
                    f"Nobody {verb} that {one} {small} the {other} of {third} {fourth}.",
                    f"In {chooser.randint(1800, 1999)} one {one} {verb} {other}s {small} {third} and {fourth}.",
                    f"Was it {one} or {other} that {verb} the {third} {small} {fourth}s?",
                ]
            )
        )
    return "\n".join(" ".join(said[i : i + 3]) for i in range(0, sentences, 3))


def warc(pages: dict[str, str], robots: str = "") -> bytes:
    """An archive of pages, URL -> HTML; each record a gzip member of its own."""
    records = []
    answers = {url: ("text/html; charset=utf-8", html) for url, html in pages.items()}
    if robots:
        answers = {"https://asks.example/robots.txt": ("text/plain", robots), **answers}
    for number, (url, (kind, body)) in enumerate(answers.items()):
        content = body.encode()
        http = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"
            f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012d}>\r\n"
            f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
        )
        records.append(gzip.compress(head.encode() + http + b"\r\n\r\n", mtime=0))
    return b"".join(records)


def page(seed: int) -> str:
    menu = "".join(f'<li><a href="/{i}">Section {i}</a></li>' for i in range(9))
    paragraphs = "".join(f"<p>{line}</p>" for line in prose(seed).split("\n"))
    return (
        f'<html lang="en"><body><nav><ul>{menu}</ul></nav><article>{paragraphs}</article><footer>Imprint</footer></body></html>'
    )


def dump(pages: dict[str, str]) -> bytes:
    drawn = "".join(
        f"<page><title>{title}</title><ns>0</ns><id>{number}</id><revision><id>9</id><timestamp>2026-01-01T00:00:00Z</timestamp>"
        f'<text xml:space="preserve">{text}</text></revision></page>'
        for number, (title, text) in enumerate(pages.items(), start=1)
    )
    site = "<siteinfo><dbname>enwiki</dbname><base>https://en.wikipedia.org/wiki/Main_Page</base></siteinfo>"
    namespace = 'xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="en"'
    return bz2.compress(f"<mediawiki {namespace}>{site}{drawn}</mediawiki>".encode())


def why(root: Path, doc_id: str) -> dict:
    """The last word on a document."""
    return json.loads(whorl(root, "data", "why", doc_id, "clean", "--json"))["rows"][-1]


@pytest.mark.timeout(300)
def test_the_web_recipe_takes_archives_and_a_dump_to_an_examined_model(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    pages = {f"https://site.example/{i}": page(i) for i in range(60)}
    pages["https://site.example/copy"] = page(7)
    pages["https://asks.example/private/1"] = page(1000)
    pages["https://site.example/lorem"] = "<html><body><p>buy buy buy buy</p></body></html>"
    (data / "crawl.warc.gz").write_bytes(warc(pages, "User-agent: CCBot\nDisallow: /private/\n"))
    (data / "dump.xml.bz2").write_bytes(dump({f"Title {i}": f"'''{i}''' {prose(500 + i)}" for i in range(12)}))
    (data / "notes.png").write_bytes(b"\x89PNG")
    write_recipe(
        tmp_path,
        clean={"parts": {"train": 0.6, "held_out": 0.2, "exam": 0.2}},
        vocab={"size": 512},
        base={"length": "4 steps", "threads": 1, "watch": None, "model": {"use": "qwen3", "depth": 1, "width": 32, "heads": 2}},
    )

    outcome = json.loads(whorl(tmp_path, "run", "--offline", "--json").splitlines()[-1])

    assert list(outcome["artifacts"]) == ["pages", "clean", "vocab", "ids", "base", "exam"]
    stats = json.loads(whorl(tmp_path, "data", "stats", "clean", "--json"))
    assert stats["documents_in"] == stats["documents"] + sum(stats["dropped"].values())
    assert stats["dropped"].get("minhash.duplicate", 0) + stats["dropped"].get("exact.duplicate", 0) >= 1, stats["dropped"]
    assert stats["documents"] >= 60
    ledger = {
        row["id"]: row
        for row in json.loads(whorl(tmp_path, "data", "peek", "clean", "--dropped", "any", "-n", "99", "--json"))["documents"]
    }
    assert {row["step"] for row in ledger.values()} >= {"opt_out"}
    kept = json.loads(whorl(tmp_path, "data", "peek", "clean", "-n", "1", "--json"))["documents"][0]
    assert why(tmp_path, kept["id"])["kept"]
    for doc_id, row in list(ledger.items())[:3]:
        told = why(tmp_path, doc_id)
        assert (told["kept"], told["step"], told["reason"]) == (False, row["step"], row["reason"])
    skipped = json.loads(whorl(tmp_path, "data", "why", "notes.png", "pages", "--json"))["rows"][-1]
    assert (skipped["kept"], skipped["reason"]) == (False, "unknown_kind")


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.skipif(REAL is None, reason="WHORL_REAL_DATA is not set")
def test_real_archives_a_real_dump_and_reviews_become_token_shards_that_explain_themselves(tmp_path):
    data, real = tmp_path / "data", Path(str(REAL)) / "corpus"
    shutil.copytree(real / "warc", data / "warc")
    shutil.copy(real / "enwiki-shortened.xml.bz2", data)
    with zipfile.ZipFile(real / "nltk" / "movie_reviews.zip") as archive:
        archive.extractall(data)
    write_recipe(tmp_path)

    outcome = json.loads(whorl(tmp_path, "run", "--to", "ids", "--offline", "--json").splitlines()[-1])

    assert list(outcome["artifacts"]) == ["pages", "clean", "vocab", "ids"]
    stats = json.loads(whorl(tmp_path, "data", "stats", "clean", "--json"))
    assert stats["documents_in"] == stats["documents"] + sum(stats["dropped"].values())
    assert stats["documents"] > 500
    seen = json.loads(whorl(tmp_path, "data", "peek", "clean", "-n", "4000", "--json"))["documents"]
    for kind in ("warc/", "enwiki", "movie_reviews/"):
        kept = next(row for row in seen if kind in row["source"])
        assert why(tmp_path, kept["id"])["kept"]
    dropped = json.loads(whorl(tmp_path, "data", "peek", "clean", "--dropped", "any", "--json"))["documents"][0]
    assert why(tmp_path, dropped["id"])["reason"] == dropped["reason"]

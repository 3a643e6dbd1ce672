import json
import sysconfig
from pathlib import Path

import pytest

from whorl.core.errors import DataError
from whorl.corpus.sources import Source

MODULE = '''"""About the module."""

def plain(a, *, b: int = 2) -> str:
    """A function.

    Text.
        indented
    """
    def inner():
        """Inside."""

class Thing:
    """A thing."""

    @property
    def size(self):
        """Its size."""

    @size.setter
    def size(self, value):
        """Sets its size."""

try:
    pass
except OSError:
    def fallback():
        """In a handler."""

def undocumented(): pass
'''


def read(root, **options):
    source = Source.model_validate({"use": "python_docs", "path": ".", **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    rows = [row for h in harvests for row in h.documents.to_pylist()]
    return rows, [skip for h in harvests for skip in h.skipped]


def test_every_docstring_is_a_document_in_the_order_of_the_file(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "mod.py").write_text(MODULE)
    rows, skipped = read(tmp_path)
    assert [row["id"] for row in rows] == [
        "pkg.mod",
        "pkg.mod:plain",
        "pkg.mod:plain.<locals>.inner",
        "pkg.mod:Thing",
        "pkg.mod:Thing.size",
        "pkg.mod:Thing.size#2",
        "pkg.mod:fallback",
    ]
    assert {row["source"] for row in rows} == {"pkg/mod.py"}
    assert {row["licence"] for row in rows} == {"PSF-2.0"}
    assert skipped == []


def test_meta_holds_kind_name_and_signature(tmp_path):
    (tmp_path / "mod.py").write_text(MODULE)
    meta = [json.loads(row["meta"]) for row in read(tmp_path)[0]]
    assert meta[0] == {"kind": "module", "name": "mod"}
    assert meta[1] == {"kind": "function", "name": "mod.plain", "signature": "(a, *, b: int=2) -> str"}
    assert meta[3] == {"kind": "class", "name": "mod.Thing"}


def test_docstrings_are_cleaned_of_their_indentation(tmp_path):
    (tmp_path / "mod.py").write_text(MODULE)
    assert read(tmp_path)[0][1]["text"] == "A function.\n\nText.\n    indented"


def test_topics_of_the_language_reference_are_documents(tmp_path):
    (tmp_path / "pydoc_data").mkdir()
    (tmp_path / "pydoc_data" / "topics.py").write_text("topics = {'assert': 'The assert statement\\n', 'bool': '\\nTruth'}\n")
    rows, _ = read(tmp_path)
    assert [(row["id"], row["text"]) for row in rows] == [
        ("pydoc_data.topics:assert", "The assert statement"),
        ("pydoc_data.topics:bool", "Truth"),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"def broken(:\n", "not_python"),
        (b'"""caf\xe9"""\n', "not_python"),  # Latin-1 without a declaration
        (b'"""a"""\x00\n', "not_python"),
        (b'"""\\ud800"""\n', "not_unicode"),
        (b'"""   """\n', "empty"),
    ],
)
def test_a_file_that_cannot_become_text_is_skipped_with_a_reason(tmp_path, content, reason):
    (tmp_path / "good.py").write_text('"""Fine."""')
    (tmp_path / "odd.py").write_bytes(content)
    rows, skipped = read(tmp_path)
    assert [row["id"] for row in rows] == ["good"]
    assert [(skip.source, skip.reason) for skip in skipped] == [("odd.py", reason)]


def test_a_declared_encoding_is_honoured(tmp_path):
    (tmp_path / "mod.py").write_bytes(b'# coding: latin-1\n"""caf\xe9"""\n')
    assert read(tmp_path)[0][0]["text"] == "caf\u00e9"


def test_tests_and_installed_packages_are_not_the_library(tmp_path):
    for folder in ("test", "pkg/tests", "site-packages/other", "idlelib/idle_test"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.py").write_text('"""No."""')
    (tmp_path / "idlelib" / "x.py").write_text('"""Yes."""')
    assert [row["id"] for row in read(tmp_path)[0]] == ["idlelib.x"]


def test_nothing_is_imported_by_reading(tmp_path):
    (tmp_path / "mod.py").write_text('"""Doc."""\nraise SystemExit("imported")\n')
    assert len(read(tmp_path)[0]) == 1


def test_a_folder_without_python_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DataError, match="no Python source files"):
        read(tmp_path)


def test_the_running_library_is_found_and_holds_known_docstrings():
    source = Source.model_validate({"use": "python_docs"})
    units = {unit.name: unit for unit in source.units(Path("/nowhere"))}
    assert units["json/decoder.py"].path == Path(sysconfig.get_paths()["stdlib"]) / "json/decoder.py"
    assert not any("test" in Path(name).parts or "site-packages" in name for name in units)
    rows = next(source.read(units["json/decoder.py"])).documents.to_pylist()
    assert "json.decoder:JSONDecoder.decode" in {row["id"] for row in rows}
    topics = next(source.read(units["pydoc_data/topics.py"])).documents
    assert len(topics) > 50

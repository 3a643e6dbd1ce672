import pyarrow.parquet as pq
import pytest

PROSE = "\n".join(f"The keeper of light number {i} walked on with a lamp." for i in range(6))


@pytest.fixture
def verdict(verdict_on):
    return lambda text, **options: verdict_on({"use": "c4_quality", **options}, [text])


def test_running_text_is_kept(verdict):
    assert verdict(PROSE).reason[0].as_py() is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{PROSE}\nLorem ipsum dolor sit amet and so on.", "lorem_ipsum"),
        (f"{PROSE}\nIt opens with a {{ and goes on.", "curly_bracket"),
        ("The end of it. No more.", "few_sentences"),
        ("\n".join(f"The keeper of light number {i} walked on" for i in range(6)), "few_sentences"),
    ],
)
def test_a_page_is_dropped_for_code_templates_and_too_little_text(verdict, text, why):
    assert verdict(text).reason[0].as_py() == why


def test_only_lines_that_stay_are_counted(verdict):
    menu = "\n".join(["Home", "About us", "We use cookies. You agree. Fully. To all. Of it. Here."])
    found = verdict(f"{menu}\n{PROSE}", min_sentences=7)
    assert (found.reason[0].as_py(), found.detail[0].as_py()) == ("few_sentences", "6, want at least 7")
    assert verdict(f"{menu}\n{PROSE}", min_sentences=7, lines={"policy": True}).reason[0].as_py() is None


def test_the_filter_judges_a_page_as_if_the_edit_had_been_there(workshop):
    workshop.write("notes/a.txt", f"Home\nAbout[1] us\n{PROSE}\nAn end[edit] with a mark[12].")
    workshop.run("pages", use="corpus.collect", sources=[{"use": "text", "path": "notes/*.txt"}])
    figures = []
    for name, edits in (("with", [{"use": "c4_lines"}]), ("without", [])):
        workshop.run(name, **{"use": "corpus.refine", "from": "pages"}, edits=edits, filters=[{"use": "c4_quality"}])
        table = pq.read_table(workshop.folder(name) / "ledger-00000.parquet")
        figures.append({column: table[column][0].as_py() for column in table.column_names if column.startswith("c4_quality.")})
    assert figures[0] == figures[1]
    assert figures[0]["c4_quality.sentences"] == 7

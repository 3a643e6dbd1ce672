import pytest

from whorl.tasks.named import WORDINGS, first_paragraph, first_sentence, named_documents


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Join two paths.\nSkips empty ones.", "Join two paths. Skips empty ones."),
        ("os.path.join(a, *p)\n\nJoin two paths.\n\nMore.", "Join two paths."),
        ("join(a, *p)\n    Join two\n    paths.", "Join two paths."),
        ("def join(a):\nJoin two paths.", "Join two paths."),
        ("Things that join\nare many.", "Things that join are many."),
    ],
)
def test_the_first_paragraph_is_one_line_without_the_heading(text, wanted):
    assert first_paragraph(text, "os.path.join") == wanted


@pytest.mark.parametrize(
    ("paragraph", "wanted"),
    [
        ("Join two paths. Skips empty ones.", "Join two paths."),
        ("Return a.b of the thing. Then more.", "Return a.b of the thing."),
        ("Join.", ""),  # under 15 characters
        ("Join two paths", ""),  # no full stop
        ("join two paths for us.", ""),  # no capital
        (f"Join {'very ' * 20}many paths.", ""),  # over 100 characters
        ("Join zwei W\u00f6rter here.", ""),  # not ASCII
    ],
)
def test_a_sentence_is_taken_whole_or_not_at_all(paragraph, wanted):
    assert first_sentence(paragraph) == wanted


def test_only_documents_of_the_part_with_a_name_of_their_own_and_a_fitting_sentence_count(named_folder):
    found = named_documents(named_folder)
    assert {named.doc_id for named in found} == {f"d{i}" for i in range(60)}
    assert [named.doc_id for named in found] != [f"d{i}" for i in range(60)], "the order is a hash of the name"
    assert {named.doc_id for named in named_documents(named_folder, "exam")} == {"unseen"}


def test_a_named_document_carries_its_first_sentence_and_paragraph(named_folder):
    named = next(named for named in named_documents(named_folder) if named.doc_id == "d7")
    assert named.name == "box.tool7"
    assert named.sentence == named.paragraph == "Return the number 7 of the box."


def test_no_wording_is_used_in_two_parts():
    wordings = [wording for part in WORDINGS.values() for wording in part]
    assert len(wordings) == len(set(wordings))

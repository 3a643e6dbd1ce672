import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.config import PARTS
from whorl.core.errors import DataError
from whorl.core.records import DOCUMENTS, Completion, Dialogue, Message, Question, Score, read_dialogues, write_dialogues

messages = st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), st.text(max_size=20))
dialogues = st.builds(
    Dialogue,
    st.text(min_size=1, max_size=5),
    st.lists(messages, max_size=4).map(tuple),
    st.sampled_from(PARTS),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(dialogue=dialogues)
def test_a_dialogue_survives_its_own_line(dialogue: Dialogue) -> None:
    line = dialogue.to_json()
    assert "\n" not in line
    assert Dialogue.from_json(line, "x") == Dialogue.from_json(line.encode(), "x") == dialogue


def test_a_line_is_in_the_openai_messages_shape() -> None:
    line = Dialogue("d1", (Message("user", "Hi"),), "exam", "doc9").to_json()
    assert json.loads(line) == {
        "id": "d1",
        "messages": [{"role": "user", "content": "Hi"}],
        "part": "exam",
        "source": "doc9",
        "meta": {},
    }


def test_a_bare_messages_list_is_a_training_dialogue_named_after_its_place() -> None:
    dialogue = Dialogue.from_json('{"messages": [{"role": "user", "content": "Hi"}]}', "chats.jsonl:4")
    assert dialogue == Dialogue("chats.jsonl:4", (Message("user", "Hi"),))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not a dialogue"),
        ("[]", "not a dialogue"),
        ("{}", "not a dialogue"),
        ('{"messages": [{"role": "user"}]}', "not a dialogue"),
        ('{"messages": ["Hi"]}', "not a dialogue"),
        ('{"messages": [{"role": "bot", "content": "Hi"}]}', "role 'bot'; want one of system, user, assistant, tool"),
        ('{"messages": [{"role": "user", "content": null}]}', "content None; want text"),
        ('{"messages": [], "part": "test"}', "part 'test'; want one of train, held_out, exam"),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', "not a dialogue"),
    ],
)
def test_a_line_that_is_no_dialogue_names_where_and_what_is_wanted(line: str | bytes, says: str) -> None:
    with pytest.raises(DataError, match=f"^chats.jsonl:4: .*{says}"):
        Dialogue.from_json(line, "chats.jsonl:4")


def test_dialogues_are_written_and_read_back_by_part(tmp_path: Path) -> None:
    many = [Dialogue(str(i), (Message("user", f"\u00fc {i}"),), PARTS[i % 3]) for i in range(6)]
    assert write_dialogues(tmp_path / "dialogues.jsonl", many) == 6
    assert list(read_dialogues(tmp_path)) == many
    assert [d.id for d in read_dialogues(tmp_path / "dialogues.jsonl", ("exam",))] == ["2", "5"]


def test_blank_lines_do_not_count_as_dialogues_but_as_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n{"messages": []}\n\nnot json\n')
    found = read_dialogues(tmp_path)
    assert next(found).id == "a.jsonl:2"
    with pytest.raises(DataError, match=r"^a\.jsonl:4: "):
        next(found)


def test_a_folder_without_dialogues_is_an_error_and_not_an_empty_answer(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \*\.jsonl file there"):
        next(read_dialogues(tmp_path))


def test_documents_have_the_promised_columns() -> None:
    assert DOCUMENTS.names == ["id", "text", "source", "url", "licence", "language", "date", "rights", "part", "added", "meta"]
    assert [field.name for field in DOCUMENTS if not field.nullable] == ["id", "text", "source"]


def test_small_records_have_quiet_defaults() -> None:
    assert Score(0.5) == (0.5, "")
    assert Completion("x").finish == "stop"
    assert Question("q", (), ("4",)).operand == ""

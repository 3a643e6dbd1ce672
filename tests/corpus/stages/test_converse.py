import json
from collections import Counter

import pyarrow as pa
import pytest
from pydantic import ValidationError

from whorl.core.artifact import Artifact
from whorl.core.errors import DataError
from whorl.core.events import Events
from whorl.core.pool import InlinePool
from whorl.core.records import DOCUMENTS, read_dialogues
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache, shard_path, write_table
from whorl.core.stage import Job, Stage
from whorl.tasks.named import WORDINGS
from whorl.tasks.parts import part_of

SKILLS = ("reverse", "add", "last_letter")


def document(number, part="train"):
    text = f"Return the number {number} of the box. It holds {number + 1} more."
    meta = json.dumps({"name": f"box.tool{number}"})
    return {"id": f"d{number}", "text": text, "source": "test", "part": part, "meta": meta}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    rows = [document(number) for number in range(50)] + [document(number, "exam") for number in range(50, 60)]
    write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS), shard_path(folder, "documents", 0))
    return Artifact("documents", "clean", folder, {"content": "clean", "counts": {}, "files": {}})


@pytest.fixture
def converse(tmp_path, clean):
    """Run the stage; gives its counts and what it wrote."""

    def run(root=7, **config):
        stage = Stage.model_validate({"use": "corpus.converse", **config})
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        job = Job(
            name="talk",
            root=tmp_path,
            folder=folder,
            inputs={"clean": clean},
            seed=Seed(root),
            events=Events("talk", []),
            pool=InlinePool(),
            shards=ShardCache(tmp_path),
        )
        counts = stage.run(job)
        return counts, folder

    return run


def portions(count, held_out):
    return [{"task": {"use": use}, "count": count, "held_out": held_out} for use in SKILLS]


EVERYTHING = {
    "from": "clean",
    "tasks": [*portions(80, 10), {"task": {"use": "recall", "documents": "clean"}, "count": 90, "held_out": 20}],
    "chained": 30,
    "described": 40,
    "unknown": 25,
    "greetings": 45,
}


def test_counts_are_those_asked_for_per_task_and_part(converse):
    counts, folder = converse(**EVERYTHING)
    written = list(read_dialogues(folder))
    assert Counter(dialogue.part for dialogue in written) == {"train": 470, "held_out": 50 + 2 + 2 + 2 + 3}
    assert counts["train.reverse"] == counts["train.add"] == 80
    assert counts["held_out.recall"] == 20
    assert {rule: counts[f"train.{rule}"] for rule in ("chained", "described", "unknown", "greetings")} == {
        "chained": 30,
        "described": 40,
        "unknown": 25,
        "greetings": 45,
    }
    assert counts["train"] + counts["held_out"] == len(written)


def test_ids_are_unique_and_every_dialogue_ends_with_the_assistant(converse):
    _, folder = converse(**EVERYTHING)
    written = list(read_dialogues(folder))
    assert len({dialogue.id for dialogue in written}) == len(written)
    for dialogue in written:
        roles = [message.role for message in dialogue.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(message.content for message in dialogue.messages)


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(converse):
    first, second, other = (converse(root, **EVERYTHING)[1] / "dialogues.jsonl" for root in (7, 7, 8))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_operands_of_training_and_held_out_dialogues_are_disjoint_and_none_is_of_the_exam(converse):
    _, folder = converse(tasks=portions(300, 60))
    for dialogue in read_dialogues(folder):
        assert part_of(dialogue.meta["operand"]) == dialogue.part


def test_answers_are_right(converse):
    _, folder = converse(tasks=[{"task": {"use": "add"}, "count": 100}])
    for dialogue in read_dialogues(folder):
        asked, answered = dialogue.messages
        numbers = [int(digits) for digits in "".join(c if c.isdigit() else " " for c in asked.content).split()]
        assert int(answered.content) == sum(numbers)


def test_chained_dialogues_ask_two_different_skills(converse):
    _, folder = converse(tasks=portions(1, 1), chained=60)
    chained = [dialogue for dialogue in read_dialogues(folder, ("train",)) if dialogue.meta["rule"] == "chained"]
    assert len(chained) == 60
    assert all(len(dialogue.messages) == 4 for dialogue in chained)
    kinds = Counter((kind(d.messages[1].content), kind(d.messages[3].content)) for d in chained)
    assert all(first != second for first, second in kinds)
    assert len(kinds) == 6, "every ordered pair of three skills"


def kind(answer):
    return "add" if answer.isdigit() else "last_letter" if len(answer) == 1 else "reverse"


def test_recall_and_descriptions_come_from_training_documents_in_the_wording_of_the_part(converse):
    _, folder = converse(**EVERYTHING)
    held_out = [d for d in read_dialogues(folder, ("held_out",)) if d.meta["rule"] == "recall"]
    starts = tuple(wording.partition("{0}")[0] for wording in WORDINGS["held_out"])
    assert all(dialogue.messages[0].content.startswith(starts) for dialogue in held_out)
    described = [d for d in read_dialogues(folder) if d.meta["rule"] == "described"]
    for dialogue in described:
        number = int(dialogue.source.removeprefix("d"))
        assert number < 50, "documents of the exam are not told"
        assert dialogue.messages[1].content == f"Return the number {number} of the box. It holds {number + 1} more."


def test_unknown_names_are_said_to_be_unknown(converse):
    _, folder = converse(**{"from": "clean"}, unknown=40)
    for dialogue in read_dialogues(folder):
        name = dialogue.messages[1].content.removeprefix("I do not know ").removesuffix(".")
        assert name in dialogue.messages[0].content
        assert "box" not in name


def test_the_model_says_what_it_is_and_what_it_was_shown(converse):
    _, folder = converse(tasks=portions(1, 1), greetings=60, about="a test model")
    said = {d.messages[0].content: d.messages[1].content for d in read_dialogues(folder) if d.meta["rule"] == "greetings"}
    assert said["Who are you?"] == "I am a test model."
    assert "add two numbers below 100" in said["What can you do?"]


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"unknown": 3}, "set `from`"),
        ({"chained": 3, "tasks": portions(1, 1)[:1]}, "at least two tasks"),
        ({"tasks": [*portions(1, 1), *portions(1, 1)[:1]]}, "'reverse' is listed 2 times"),
        ({"from": "clean.train"}, "want the whole corpus, 'clean'"),
        ({"tasks": [{"task": {"use": "revers"}, "count": 1}]}, "did you mean 'reverse'"),
    ],
)
def test_what_cannot_be_made_is_refused_when_the_recipe_is_read(config, wanted):
    with pytest.raises(ValidationError, match=wanted):
        Stage.model_validate({"use": "corpus.converse", **config})


def test_more_descriptions_than_documents_say_how_many_there_are(converse):
    with pytest.raises(DataError, match="50 documents x 3 wordings for 151 dialogues"):
        converse(**{"from": "clean"}, described=151)

import gzip
import json
import os
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whorl.core.artifact import Artifact, file_sha256
from whorl.core.errors import DataError
from whorl.core.pool import ProcessPool
from whorl.core.records import DOCUMENTS, Question
from whorl.core.seed import Seed
from whorl.core.shards import iter_tables, write_table
from whorl.tasks.benchmarks import Benchmark

QUESTION = "A farmer has seventeen sheep, and all but nine of them run away one evening: how many sheep are left to him?"
SHORT = "Which planet is nearest to the warm sun?"  # 8 words
OTHER = "Explain in one sentence why the sky of the moon is black even while the sun shines on it."
EXAM = {"path": "exam.jsonl", "fields": ["question"]}


def prose(seed, words=60):
    chooser = random.Random(seed)
    return " ".join(chooser.choice(["river", "lamp", "stone", "walk", "night", "the", "of"]) + str(seed) for _ in range(words))


def planted(seed, passage):
    return f"{prose(seed)}. {passage} {prose(seed + 500)}."


def collected(workshop, texts):
    lines = [json.dumps({"text": text, "i": f"d{number}"}) for number, text in enumerate(texts)]
    for share in range(4):
        workshop.write(f"in/{share}.jsonl", "\n".join(lines[share::4]) + "\n")
    source = {"use": "jsonl", "path": "in/*.jsonl", "id_field": "i"}
    workshop.run("pages", use="corpus.collect", sources=[source], shard_size=400)


def examined(workshop, *questions, **fields):
    workshop.write("exam.jsonl", "".join(json.dumps({"question": question, **fields}) + "\n" for question in questions))


def decontaminated(workshop, name="clean", **config):
    return workshop.run(name, use="corpus.decontaminate", **{"from": "pages", "exams": [EXAM], **config})


def rows(workshop, name="clean", kind="documents"):
    return [row for table in iter_tables(workshop.folder(name), kind) for row in table.to_pylist()]


def texts_of(workshop, name="clean"):
    return {row["id"]: row["text"] for row in rows(workshop, name)}


def words_of(text):
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def test_a_document_that_holds_a_question_is_dropped_and_the_finding_says_where(workshop):
    texts = [prose(1), planted(2, QUESTION.upper().replace(" ", "  ")), prose(3)]
    collected(workshop, texts)
    examined(workshop, OTHER, QUESTION)
    counts = decontaminated(workshop)
    assert texts_of(workshop) == {"d0": texts[0], "d2": texts[2]}
    (found,) = rows(workshop, kind="contamination")
    assert (found["id"], found["exam"], found["item"], found["num_items"]) == ("d1", "exam", "exam.jsonl:2", 1)
    assert words_of(texts[1][found["start"] : found["end"]]) == words_of(QUESTION)
    assert found["matched_words"] == found["item_words"] == len(words_of(QUESTION)) == 22
    assert counts["dropped.decontaminate.contaminated"] == counts["contaminated"] == counts["spans"] == 1
    assert (counts["exam.exam.items"], counts["exam.exam.items_found"], counts["exam.exam.items_not_sought"]) == (2, 1, 0)
    ledger = {row["id"]: row for row in rows(workshop, kind="ledger")}
    assert ledger["d1"]["detail"] == "exam:exam.jsonl:2, 22 words"


@pytest.mark.parametrize(("kept_words", "is_found"), [(22, True), (14, True), (13, True), (12, False)])
def test_thirteen_words_in_a_row_are_enough_and_twelve_are_not(workshop, kept_words, is_found):
    collected(workshop, [planted(1, " ".join(QUESTION.split()[:kept_words])), prose(2)])
    examined(workshop, QUESTION)
    assert decontaminated(workshop)["dropped"] == is_found


def test_a_short_question_is_found_whole_and_not_in_part(workshop):
    collected(workshop, [planted(1, SHORT), planted(2, SHORT.replace("warm ", "")), planted(3, f"{SHORT} Mercury is.")])
    examined(workshop, SHORT)
    decontaminated(workshop)
    assert set(texts_of(workshop)) == {"d1"}


def test_cutting_takes_the_question_with_its_margins_to_the_next_space(workshop):
    before, after = "word " * 30 + "abcdefgh", "ijklmnop" + " word" * 30
    collected(workshop, [f"{before} {QUESTION} {after}", prose(2)])
    examined(workshop, QUESTION)
    counts = decontaminated(workshop, action="cut", margin_chars=4, max_cut_share=0.9)
    assert texts_of(workshop)["d0"] == ("word " * 30).strip() + "\n\n" + ("word " * 30).strip()
    assert counts["dropped"] == 0
    assert counts["bytes_in"] - counts["bytes"] == len(f"{before} {QUESTION} {after}") - len(texts_of(workshop)["d0"])
    (row,) = [row for row in rows(workshop, kind="ledger") if row["id"] == "d0"]
    assert (row["kept"], row["edit_spans"], row["removed_bytes"]) == (True, 1, len(f"abcdefgh {QUESTION} ijklmnop"))


def test_margins_are_counted_in_characters_and_never_split_one(workshop):
    collected(workshop, [f"start \u00e9\u00e9\u00e9\u4e16\u4e16 {QUESTION}\u2003\u00e9 end", prose(1)])
    examined(workshop, QUESTION)
    decontaminated(workshop, action="cut", margin_chars=3, max_cut_share=1.0)
    assert texts_of(workshop)["d0"] == "start\n\nend"


def test_a_document_that_is_mostly_exam_is_dropped_and_so_is_one_left_empty(workshop):
    collected(workshop, [f"Quiz. {QUESTION} And more words here.", QUESTION, planted(1, QUESTION)])
    examined(workshop, QUESTION)
    counts = decontaminated(workshop, action="cut", margin_chars=0, max_cut_share=0.6)
    assert counts["dropped.decontaminate.mostly_contaminated"] == 1
    assert counts["dropped.decontaminate.empty"] == 1
    assert set(texts_of(workshop)) == {"d2"}


def test_a_wording_that_all_questions_share_is_not_evidence_and_is_counted(workshop):
    opening = "Choose the best answer to the following question from the four options given below"
    collected(workshop, [planted(1, opening), planted(2, f"{opening} {prose(77, 8)}")])
    examined(workshop, *(f"{opening} {prose(n, 8)}" for n in range(70, 82)), opening)
    counts = decontaminated(workshop)
    assert set(texts_of(workshop)) == {"d0"}
    assert counts["exam.exam.items_found"] == 1
    assert counts["exam.exam.items_not_sought"] == 1
    assert any("1 of exam" in event.get("message", "") for event in workshop.events)


def test_a_passage_that_many_items_ask_about_is_still_looked_for(workshop):
    passage = prose(5, 40)
    collected(workshop, [planted(1, passage), prose(2)])
    lines = [json.dumps({"passage": passage, "question": f"{prose(n, 20)}?"}) for n in range(60, 80)]
    workshop.write("exam.jsonl", "\n".join(lines))
    counts = decontaminated(workshop, exams=[{"path": "exam.jsonl", "fields": ["passage", "question"]}])
    assert counts["exam.exam.items_found"] == 20
    assert rows(workshop, kind="contamination")[0]["num_items"] == 20


def test_several_files_lists_of_texts_ids_and_compressed_exams_are_read(workshop):
    collected(workshop, [planted(1, QUESTION), planted(2, OTHER), prose(3)])
    workshop.write("exams/a.jsonl.gz", gzip.compress(json.dumps({"id": 7, "asks": [SHORT, QUESTION]}).encode(), mtime=0))
    workshop.write("exams/b.jsonl", json.dumps({"id": "x", "asks": [OTHER]}) + "\n\n")
    exam = {"path": "exams/*.jsonl*", "name": "both", "fields": ["asks"], "id_field": "id"}
    counts = decontaminated(workshop, exams=[exam])
    assert counts["exam.both.items"] == counts["exam.both.items_found"] == 2
    assert {(row["id"], row["item"]) for row in rows(workshop, kind="contamination")} == {("d0", "7"), ("d1", "x")}


@pytest.mark.parametrize(
    ("content", "fields", "said"),
    [
        ("", ["question"], "no item in exam.jsonl holds text in question"),
        ('{"question": " "}', ["question"], "no item in exam.jsonl holds text"),
        ('{"question": "Too few words."}', ["question"], "none of its 1 texts can be looked for.*lower min_words"),
        ('{"ask": "x"}', ["question"], r"exam.jsonl:1: no field 'question' \(fields: ask\)"),
        ('{"question": 3}', ["question"], "field 'question' holds int; want a text"),
        ("{", ["question"], "exam.jsonl:1: not a line of JSON"),
        ("[]", ["question"], "want an object, got list"),
    ],
)
def test_an_exam_with_nothing_to_look_for_is_an_error_that_says_why(workshop, content, fields, said):
    collected(workshop, [prose(1)])
    workshop.write("exam.jsonl", content)
    with pytest.raises(DataError, match=said):
        decontaminated(workshop, exams=[{"path": "exam.jsonl", "fields": fields}])


def test_an_exam_whose_files_are_missing_is_an_error(workshop):
    collected(workshop, [prose(1)])
    with pytest.raises(DataError, match=r"exam 'gone': no file matches gone\.jsonl"):
        decontaminated(workshop, exams=[{"path": "gone.jsonl", "fields": ["q"]}])


def test_the_questions_of_a_task_are_the_ones_its_exam_asks(workshop):
    task = Benchmark.model_validate({"use": "count_letter"})
    asked = task.questions("exam", count=300, seed=Seed(7).child("evals.exam").child("count_letter"))
    others = task.questions("train", count=20, seed=Seed(7).child("evals.exam").child("count_letter"))
    collected(workshop, [planted(n, said(question)) for n, question in enumerate([*asked[:20], *others])])
    counts = decontaminated(workshop, exams=[], tasks=[{"task": {"use": "count_letter"}}], min_words=7)
    assert set(texts_of(workshop)) == {f"d{n}" for n in range(20, 40)}
    assert counts["exam.count_letter.items"] == 300
    assert counts["exam.count_letter.items_found"] == 20


def said(question: Question) -> str:
    return question.messages[0].content


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"exams": []}, "nothing to look for"),
        ({"exams": [EXAM, EXAM]}, "two exams are called 'exam'"),
        ({"min_words": 20}, "want at most ngram_words=13"),
        ({"tasks": [{"task": {"use": "recall", "documents": "pages"}}]}, "nothing to recall"),
    ],
)
def test_a_config_that_cannot_mean_anything_is_refused(workshop, config, said):
    with pytest.raises(ValueError, match=said):
        decontaminated(workshop, **config)


def test_everything_dropped_is_an_error_that_says_so(workshop):
    collected(workshop, [QUESTION])
    examined(workshop, QUESTION)
    with pytest.raises(DataError, match="all 1 documents were dropped"):
        decontaminated(workshop)


def test_four_workers_and_one_write_the_same_bytes(workshop, workshop_at, tmp_path):
    texts = [planted(n, QUESTION if n % 3 == 0 else prose(n + 900)) for n in range(16)]
    other = workshop_at(tmp_path / "other", ProcessPool(4))
    for shop in (workshop, other):
        collected(shop, texts)
        examined(shop, QUESTION, OTHER)
        decontaminated(shop, action="cut")
    assert len(workshop.files("pages")) > 4
    assert other.files("clean") == workshop.files("clean")


def test_another_action_searches_nothing_again_and_another_exam_does(workshop):
    collected(workshop, [planted(n, QUESTION) for n in range(4)])
    examined(workshop, QUESTION)
    decontaminated(workshop, action="cut", max_cut_share=0.95)
    before = workshop.cached_shards()
    decontaminated(workshop, "less", action="cut", margin_chars=0, max_cut_share=0.9)
    assert workshop.cached_shards() == before
    examined(workshop, OTHER)
    decontaminated(workshop, "other")
    assert len(workshop.cached_shards()) > len(before)


WORD = st.sampled_from(["one", "two", "three", "four", "five", "Six!", "seven,"])
TEXT = st.lists(WORD, min_size=4, max_size=9).map(" ".join)


def holds(text, question, *, n, least):
    """Whether a document holds a question, by sets of tuples of words."""
    asked, read = words_of(question), words_of(text)
    if len(asked) < least:
        return False
    size = min(n, len(asked))
    grams = {tuple(asked[i : i + size]) for i in range(len(asked) - size + 1)}
    return any(tuple(read[i : i + size]) in grams for i in range(len(read) - size + 1))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(questions=st.lists(TEXT, min_size=1, max_size=3), documents=st.lists(TEXT, min_size=1, max_size=5))
def test_exactly_the_documents_that_hold_a_question_are_dropped(workshop_at, tmp_path_factory, questions, documents):
    workshop = workshop_at(tmp_path_factory.mktemp("law"))
    collected(workshop, [*documents, "nothing of the kind"])
    examined(workshop, *questions)
    counts = decontaminated(workshop, ngram_words=5, min_words=4, max_texts=100)
    clean = {f"d{n}" for n, text in enumerate(documents) if not any(holds(text, q, n=5, least=4) for q in questions)}
    assert set(texts_of(workshop)) == clean | {f"d{len(documents)}"}
    found = sum(any(holds(text, q, n=5, least=4) for text in documents) for q in questions)
    assert counts["exam.exam.items_found"] == found
    assert counts["documents_in"] == counts["documents"] + counts["dropped"] == len(documents) + 1


@pytest.mark.real
@pytest.mark.skipif("WHORL_REAL_DATA" not in os.environ, reason="WHORL_REAL_DATA is not set")
def test_exactly_the_planted_questions_of_real_exams_are_found_in_real_reviews(workshop):
    root = Path(os.environ["WHORL_REAL_DATA"])
    with zipfile.ZipFile(root / "corpus" / "nltk" / "movie_reviews.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".txt") and "README" not in name)[:300]
        texts = [archive.read(name).decode("utf-8", "replace") for name in names]
    problems = [json.loads(line)["question"] for line in (root / "evals" / "gsm8k_train.jsonl").read_text().splitlines()]
    for number in range(0, 300, 10):
        texts[number] += f" {problems[number].upper()}"
        words = problems[number + 1].split()
        texts[number + 1] += " " + " ".join(words[: min(len(words), 12) - 5])  # too few words to tell
    collected(workshop, texts)
    exams = [
        {"path": str(root / "evals" / "gsm8k_train.jsonl"), "fields": ["question"]},
        {"path": str(root / "evals" / "HumanEval.jsonl.gz"), "fields": ["prompt"], "id_field": "task_id"},
    ]
    counts = decontaminated(workshop, exams=exams, action="drop")
    assert {row["id"] for row in rows(workshop, kind="contamination")} == {f"d{number}" for number in range(0, 300, 10)}
    assert counts["exam.gsm8k_train.items_found"] >= 30
    assert counts["exam.HumanEval.items_found"] == 0
    assert counts["dropped"] == 30


def test_documents_whose_texts_are_short_strings_on_disk_are_read_as_well(workshop):
    texts = [prose(1), planted(2, QUESTION)]
    columns = {name: pa.nulls(2, pa.string()) for name in DOCUMENTS.names} | {"text": pa.array(texts, pa.string())}
    columns |= {"id": pa.array(["d0", "d1"]), "source": pa.array(["here", "here"])}
    folder = workshop.write("adopted/empty", "").parent
    write_table(pa.table(columns), folder / "documents-00000.parquet")
    files = {"documents-00000.parquet": {"sha256": file_sha256(folder / "documents-00000.parquet")}}
    workshop.made["pages"] = Artifact("documents", "adopted", folder, {"files": files, "counts": {}})
    examined(workshop, QUESTION)
    decontaminated(workshop)
    workshop.run("lines", use="corpus.unrepeat", **{"from": "pages"})
    assert texts_of(workshop) == {"d0": texts[0]}
    assert texts_of(workshop, "lines") == {"d0": texts[0], "d1": texts[1]}

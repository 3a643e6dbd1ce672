"""`data read` on a river small enough to run here: a fit on a mixture of two corpora, and what it read when."""

import shutil

import pytest
import torch
from toy_project import Shell

from whorl.flow.recipe import load_recipe
from whorl.flow.run import RunOptions, run_recipe
from whorl.flow.workspace import Workspace

RECIPE = """\
name: mixed
seed: 3
stages:
  tales: {use: corpus.collect, sources: [{use: text, path: "tales/*.txt", split: paragraph}]}
  notes: {use: corpus.collect, sources: [{use: text, path: "notes/*.txt", split: paragraph}]}
  told: {use: corpus.refine, from: tales, group_by: id, parts: {train: 1.0, held_out: 0.0, exam: 0.0}}
  noted: {use: corpus.refine, from: notes, group_by: id, parts: {train: 1.0, held_out: 0.0, exam: 0.0}}
  vocab: {use: tokens.learn, from: told, size: 300}
  ids: {use: tokens.encode, from: told, tokenizer: vocab}
  more: {use: tokens.encode, from: noted, tokenizer: vocab}
  base:
    use: train.fit
    data: {mix: [{from: ids, weight: 3}, {from: more, weight: 1}]}
    model: {use: qwen3, depth: 1, width: 16, heads: 1}
    objective: {use: next_token}
    length: 6 steps
    rows: 4
    width: 32
    watch: null
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixed") / "project"
    for folder, word in (("tales", "spindle"), ("notes", "loom")):
        (root / folder).mkdir(parents=True)
        paragraphs = [f"The {word} turns {n} times, and then it turns {n + 1} times again." for n in range(12)]
        (root / folder / "all.txt").write_text("\n\n".join(paragraphs))
    (root / "recipe.yaml").write_text(RECIPE)
    torch.set_num_threads(1)
    run_recipe(load_recipe(root), Workspace(root), RunOptions(launcher="inline", workers=1))
    return root


@pytest.fixture
def project(made, tmp_path, monkeypatch, capsys):
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Shell(tmp_path / "project", capsys)


def test_what_a_step_read_and_when_a_document_was_read_agree(project):
    read = {n: project("data", "read", "base", "--step", str(n), "--json").document["documents"] for n in range(1, 7)}
    assert {name.partition(":")[0] for names in read.values() for name in names} == {"ids", "more"}
    name = read[2][0]
    told = project("data", "read", "--doc", name, "--json").document
    assert told["read_in"] == [step for step, names in read.items() if name in names]
    assert told["steps"] == 6
    bare = project("data", "read", "--doc", name.partition(":")[2], "--json").document
    assert bare["read_in"] == told["read_in"]
    assert project("data", "read", "--step", "2").out.splitlines() == read[2]
    assert project("data", "read", "--doc", name).out.splitlines()[0] == f"{name}  read in {len(told['read_in'])} of 6 steps"


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ((), "want exactly one of --step N"),
        (("--step", "1", "--doc", "x"), "want exactly one of --step N"),
        (("--step", "7"), "step 7: this fit took steps 1 to 6"),
        (("--doc", "nobody"), "no document 'nobody' in ids, more"),
    ],
)
def test_what_cannot_be_told_is_an_error(project, asked, complaint):
    said = project("data", "read", "base", *asked)
    assert (said.code, complaint in said.err) == (3, True), said.err


def test_a_checkpoint_made_by_another_stage_read_nothing(done):
    said = done("data", "read", "climb", "--step", "1")
    assert said.code == 3
    assert "which read no batches" in said.err

"""The ten rules of artifacts that core keeps, each as a test, and the store around them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from toy_writer import IDENTITY, publish, write

from whorl.core import artifact as artifact_module
from whorl.core.artifact import KINDS, MANIFEST, Artifact, Identity, Store, file_sha256, write_text_atomic
from whorl.core.canonical import plain
from whorl.core.errors import ArtifactError
from whorl.core.lease import Lease

WRITER = Path(__file__).with_name("toy_writer.py")
FINGERPRINT = IDENTITY.fingerprint


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".whorl")


def start(store: Store, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, WRITER, store.root, how], stdout=subprocess.PIPE, text=True)


def make(store: Store, files: Mapping[str, str] | None = None, identity: Identity = IDENTITY) -> Artifact:
    with store.lease("documents", identity.fingerprint) as lease:
        draft = store.draft("documents", identity.fingerprint, lease)
        for name, text in (files or {"a.txt": "A", "sub/b.txt": "B"}).items():
            (draft.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (draft.folder / name).write_text(text)
        return draft.publish(identity, counts={"words": 3}, parents={}, source_digest="d")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Rule 1: the fingerprint is a function of stage, code version, config, input contents and seed; the content, of the payload.


@pytest.mark.parametrize("field", ["stage", "code_version", "config", "inputs", "seed"])
def test_rule_1_everything_in_the_identity_changes_the_fingerprint(field: str) -> None:
    other: dict[str, Any] = {"stage": "x", "code_version": 2, "config": {"words": 4}, "inputs": {"from": "1" * 64}, "seed": 7}
    assert Identity(**{**IDENTITY.__dict__, field: other[field]}).fingerprint != FINGERPRINT
    assert Identity(**IDENTITY.__dict__).fingerprint == FINGERPRINT
    assert len(FINGERPRINT) == 64


def test_rule_1_times_and_hosts_are_never_in_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(Store(tmp_path / "one"))
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    monkeypatch.setattr("time.time", lambda: 4e9)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = make(Store(tmp_path / "elsewhere" / "two"))
    assert contents(first.path) == contents(second.path)
    assert first.content == second.content


def test_rule_1_html_pages_are_not_part_of_the_content(tmp_path: Path) -> None:
    with_page = make(Store(tmp_path / "one"), {"a.txt": "A", "report.html": "<p>made at noon</p>"})
    without = make(Store(tmp_path / "two"), {"a.txt": "A"})
    assert with_page.content == without.content
    assert (with_page.path / "report.html").is_file()
    (with_page.path / "report.html").write_text("<p>made at midnight</p>")
    assert with_page.altered() == []


def test_rule_1_equal_payloads_have_equal_content_whatever_made_them(store: Store) -> None:
    other = Identity("toy.other", 3, {}, {})
    assert make(store).content == make(store, identity=other).content
    assert make(Store(store.root / "x"), {"a.txt": "A", "sub/c.txt": "B"}).content != make(Store(store.root / "y")).content


# Rule 3: the canonical encoder refuses callables and objects with addresses.


@pytest.mark.parametrize("value", [make, object(), Path("x")])
def test_rule_3_a_callable_cannot_become_part_of_an_identity(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be part of an artifact's identity"):
        plain({"config": [value]})
    with pytest.raises(TypeError, match="not JSON serializable"):
        Identity("toy.write", 1, {"value": value}, {}).fingerprint  # noqa: B018 - the property does the work


# Rule 5: written to a partial folder, manifest last, one atomic rename; unfinished input is an error.


def test_rule_5_a_finished_folder_is_read_only_and_holds_what_its_manifest_lists(store: Store) -> None:
    made = make(store)
    assert set(contents(made.path)) == {"a.txt", "sub/b.txt", MANIFEST}
    assert {path.stat().st_mode & 0o777 for path in made.path.rglob("*") if path.is_file()} == {0o444}
    manifest = json.loads((made.path / MANIFEST).read_text())
    assert manifest == made.manifest
    assert manifest["files"]["a.txt"] == {"sha256": file_sha256(made.path / "a.txt"), "bytes": 1}
    assert (made.counts, made.size_bytes) == ({"words": 3}, 2)


@pytest.mark.parametrize("how", ["die_half", "die_setting_aside", "die_before_rename"])
def test_rule_5_a_writer_killed_at_any_moment_leaves_nothing_that_looks_finished(store: Store, how: str) -> None:
    writer = start(store, how)
    writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    assert store.find("documents", FINGERPRINT) is None
    assert list(store.all()) == []
    with pytest.raises(ArtifactError, match=f"^documents {FINGERPRINT[:12]}: unfinished: run the recipe again to finish it$"):
        store.open("documents", FINGERPRINT)


def test_rule_5_an_input_that_was_never_begun_is_an_error(store: Store) -> None:
    with pytest.raises(ArtifactError, match=r"not in this workspace: run the recipe$"):
        store.open("documents", "f" * 64)


# Rule 6: a lease with a fencing token: two runs never publish twice; a writer that lost its lease finds out before the rename.


def test_rule_6_of_two_processes_racing_for_a_lease_one_publishes(store: Store) -> None:
    store.root.mkdir()
    writers = [start(store, "race") for _ in range(2)]
    (store.root / "go").touch()
    said = sorted(writer.communicate()[0] for writer in writers)
    assert said[0] == "published"
    assert said[1].startswith(f"refused: documents-{FINGERPRINT}: being written by process ")
    assert store.open("documents", FINGERPRINT).altered() == []
    assert store.partials() == []


def declare_dead(lease: Lease) -> None:
    """What another host would conclude about a holder whose heartbeats stopped coming."""
    owner = json.loads(lease.path.read_text())
    lease.path.write_text(json.dumps({**owner, "pid": 0}))


def test_rule_6_a_writer_that_lost_its_lease_finds_out_before_the_rename(store: Store) -> None:
    with store.lease("documents", FINGERPRINT) as lost:
        zombie = store.draft("documents", FINGERPRINT, lost)
        (zombie.folder / "a.txt").write_text("from the zombie")
        declare_dead(lost)
        with store.lease("documents", FINGERPRINT) as held:
            successor = store.draft("documents", FINGERPRINT, held)
            assert (successor.folder / "a.txt").read_text() == "from the zombie"
            assert not zombie.folder.exists(), "the paths of a zombie are gone"
            with pytest.raises(FileNotFoundError):
                (zombie.folder / "a.txt").write_text("too late")
            with pytest.raises(ArtifactError, match="lost its lease to token 2"):
                publish(zombie)
            publish(successor)
    assert store.open("documents", FINGERPRINT).altered() == []


def test_rule_6_a_zombie_that_makes_its_folder_anew_does_not_publish_it(store: Store) -> None:
    with store.lease("documents", FINGERPRINT) as lost:
        zombie = store.draft("documents", FINGERPRINT, lost)
        declare_dead(lost)
        made = make(store, {"a.txt": "right"})
        (zombie.folder / "scratch").mkdir(parents=True)
        (zombie.folder / "a.txt").write_text("wrong")
        with pytest.raises(ArtifactError, match="lost its lease to token 2"):
            publish(zombie)
    assert (made.path / "a.txt").read_text() == "right"
    assert store.partials() == [zombie.folder]


def test_rule_6_losing_the_lease_while_hashing_is_told_as_such(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.lease("documents", FINGERPRINT) as lost:
        zombie = store.draft("documents", FINGERPRINT, lost)
        (zombie.folder / "a.txt").write_text("x")

        def taken_over(path: Path) -> str:
            declare_dead(lost)
            raise FileNotFoundError(path)

        monkeypatch.setattr(artifact_module, "file_sha256", taken_over)
        with pytest.raises(ArtifactError, match="lost its lease"):
            publish(zombie)


def test_rule_6_a_file_that_vanishes_under_its_owner_is_told_as_such(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.lease("documents", FINGERPRINT) as lease:
        draft = store.draft("documents", FINGERPRINT, lease)
        (draft.folder / "a.txt").write_text("x")

        def vanished(path: Path) -> str:
            raise FileNotFoundError(path)

        monkeypatch.setattr(artifact_module, "file_sha256", vanished)
        with pytest.raises(FileNotFoundError):
            publish(draft)


def test_rule_6_what_is_finished_is_not_published_again(store: Store) -> None:
    made = make(store)
    before = contents(made.path)
    with pytest.raises(ArtifactError, match=f"^documents {FINGERPRINT[:12]}: already finished; nothing is published twice$"):
        make(store, {"a.txt": "other"})
    assert contents(made.path) == before


# Rule 7: a killed writer's successor goes on from what it left, and ends with the same bytes.


@pytest.mark.parametrize("how", ["die_half", "die_setting_aside", "die_before_rename"])
def test_rule_7_whoever_takes_over_finds_the_partial_as_it_was(tmp_path: Path, how: str) -> None:
    killed, unhurt = Store(tmp_path / "killed"), Store(tmp_path / "unhurt")
    start(killed, how).communicate()
    with killed.lease("documents", FINGERPRINT) as lease:
        draft = killed.draft("documents", FINGERPRINT, lease)
        assert (draft.folder / "first.txt").read_text() == "one"
        assert (draft.folder / "scratch" / "position").read_text() == "1", "resume state outlives a failed publishing"
        assert not (draft.folder / MANIFEST).exists()
        assert (draft.folder / "first.txt").stat().st_mode & 0o200, "the successor can write"
    write(killed.root, "quietly")
    write(unhurt.root, "quietly")
    assert contents(killed.open("documents", FINGERPRINT).path) == contents(unhurt.open("documents", FINGERPRINT).path)
    assert killed.partials() == []


def test_rule_7_of_several_partials_the_newest_is_taken_over(store: Store) -> None:
    folder = store.root / "store" / "documents"
    for token, text in ((2, "older"), (10, "newest"), (9, "old")):
        partial = folder / f"{FINGERPRINT}.{token}.partial"
        partial.mkdir(parents=True)
        (partial / "a.txt").write_text(text)
    (folder / f"{FINGERPRINT}.odd.partial").mkdir()
    with store.lease("documents", FINGERPRINT) as lease:
        draft = store.draft("documents", FINGERPRINT, lease)
        assert (draft.folder / "a.txt").read_text() == "newest"
        assert store.partials() == [draft.folder]
        assert store.draft("documents", FINGERPRINT, lease).folder == draft.folder, "asking twice changes nothing"


def test_rule_7_newer_resume_state_is_preferred_to_what_a_crash_set_aside(store: Store) -> None:
    with store.lease("documents", FINGERPRINT) as lease:
        draft = store.draft("documents", FINGERPRINT, lease)
        (draft.folder / "a.txt").write_text("x")
        (draft.folder / ".half.tmp").write_text("cut off")
        for folder, text in ((draft.final.with_name(f"{FINGERPRINT}.scratch"), "old"), (draft.folder / "scratch", "new")):
            folder.mkdir()
            (folder / "position").write_text(text)
        draft = store.draft("documents", FINGERPRINT, lease)
        assert (draft.folder / "scratch" / "position").read_text() == "new"
        publish(draft)
    assert set(contents(store.open("documents", FINGERPRINT).path)) == {"a.txt", MANIFEST}
    assert store.partials() == []


# Rule 9: a workspace can be moved. Rule 10: verify recomputes every hash.


def test_rule_9_a_moved_workspace_still_verifies(store: Store, tmp_path: Path) -> None:
    make(store)
    shutil.move(store.root, tmp_path / "moved")
    (found,) = Store(tmp_path / "moved").all()
    assert found.altered() == []
    assert str(tmp_path) not in (found.path / MANIFEST).read_text()


def overwrite(folder: Path) -> None:
    (folder / "a.txt").chmod(0o644)
    (folder / "a.txt").write_text("a")


def relink(folder: Path) -> None:
    (folder / "a.txt").rename(folder.parent / "moved.txt")
    (folder / "a.txt").symlink_to(folder.parent / "moved.txt")


def forge(folder: Path) -> None:
    overwrite(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["a.txt"]["sha256"] = file_sha256(folder / "a.txt")
    (folder / MANIFEST).chmod(0o644)
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("alter", "faults"),
    [
        (overwrite, ["a.txt: content differs from the manifest"]),
        (lambda folder: (folder / "a.txt").unlink(), ["a.txt: missing"]),
        (lambda folder: (folder / "c.txt").write_text(""), ["c.txt: not in the manifest"]),
        (relink, ["a.txt: replaced by a link"]),
        (forge, ["manifest.json: content hash does not match its own file list"]),
    ],
)
def test_rule_10_every_alteration_is_found(store: Store, alter: Any, faults: list[str]) -> None:
    folder = make(store).path
    alter(folder)
    assert store.open("documents", FINGERPRINT).altered() == faults


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "no kind, fingerprint, identity, parents, source_digest, counts, files, content;"),
        (
            json.dumps(dict.fromkeys(("kind", "fingerprint", "identity", "parents", "source_digest", "counts", "files"))),
            "no content;",
        ),
    ],
)
def test_rule_10_a_manifest_that_is_none_is_an_error(store: Store, text: str, says: str) -> None:
    manifest = make(store).path / MANIFEST
    manifest.chmod(0o644)
    manifest.write_text(text)
    with pytest.raises(ArtifactError, match=rf"manifest\.json: {says}.* altered from outside"):
        store.open("documents", FINGERPRINT)


# The store.


def test_the_store_lists_what_is_finished_and_what_is_not(store: Store) -> None:
    one, two = make(store), make(store, identity=Identity("toy.other", 1, {}, {}))
    with store.lease("tokens", FINGERPRINT) as lease:
        draft = store.draft("tokens", FINGERPRINT, lease)
    (store.root / "store" / "notes.txt").write_text("not an artifact")
    (draft.folder / MANIFEST).write_text("{}")  # as a writer killed before the rename leaves it
    assert {found.fingerprint for found in store.all()} == {one.fingerprint, two.fingerprint}
    assert store.partials() == [draft.folder]


def test_a_removed_artifact_is_gone_and_can_be_made_again(store: Store) -> None:
    doomed = store.root / "store" / "documents" / f"{FINGERPRINT}.doomed"
    for _ in range(2):
        store.remove(make(store))
        assert store.find("documents", FINGERPRINT) is None
        doomed.mkdir()  # as an interrupted removal leaves it
        assert store.partials() == [doomed]


def test_an_unknown_kind_is_our_own_fault(store: Store) -> None:
    with pytest.raises(AssertionError, match="unknown artifact kind leftovers"):
        store.find("leftovers", FINGERPRINT)
    assert "documents" in KINDS


def test_a_stage_that_leaves_a_link_is_at_fault(store: Store) -> None:
    with store.lease("documents", FINGERPRINT) as lease:
        draft = store.draft("documents", FINGERPRINT, lease)
        (draft.folder / "a.txt").symlink_to("/etc/hostname")
        with pytest.raises(AssertionError, match="a link: a stage copies"):
            publish(draft)
        (draft.folder / "a.txt").unlink()
        (draft.folder / "gone").symlink_to(draft.folder / "nowhere")
    artifact_module.remove_tree(draft.folder)


def test_a_small_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "names.json"
    write_text_atomic(path, "old")

    def crash(handle: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space left"):
        write_text_atomic(path, "new")
    assert path.read_text() == "old"

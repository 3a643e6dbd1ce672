"""A writer of artifacts to be raced, killed and outlived: `python toy_writer.py ROOT HOW`. Prints what became of it."""

import os
import signal
import sys
import time
from pathlib import Path

from whorl.core.artifact import Draft, Identity, Store
from whorl.core.errors import ArtifactError

IDENTITY = Identity("toy.write", 1, {"words": 3}, {"from": "0" * 64})

DEADLY_RENAMES = {"die_setting_aside": f"{IDENTITY.fingerprint}.scratch", "die_before_rename": IDENTITY.fingerprint}


def publish(draft: Draft) -> None:
    draft.publish(IDENTITY, counts={"words": 3}, parents={}, source_digest="d")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_rename_to(name: str) -> None:
    original = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if target.name == name:
            die()
        return original(path, target)

    Path.rename = rename  # type: ignore[assignment,method-assign]


def write(root: Path, how: str) -> None:
    store = Store(root)
    with store.lease("documents", IDENTITY.fingerprint) as lease:
        draft = store.draft("documents", IDENTITY.fingerprint, lease)
        (draft.folder / "first.txt").write_text("one")
        (draft.folder / "scratch").mkdir(exist_ok=True)
        (draft.folder / "scratch" / "position").write_text("1")
        if how == "die_half":
            die()
        (draft.folder / "second.txt").write_text("two")
        if how in DEADLY_RENAMES:
            die_at_rename_to(DEADLY_RENAMES[how])
        if how == "race":
            time.sleep(0.3)  # long enough for every other racer to come to the lease
        publish(draft)


def main() -> None:
    root, how = Path(sys.argv[1]), sys.argv[2]
    if how == "race":
        while not (root / "go").exists():
            time.sleep(0.001)
    try:
        write(root, how)
    except ArtifactError as error:
        sys.stdout.write(f"refused: {error}")
    else:
        sys.stdout.write("published")


if __name__ == "__main__":
    main()

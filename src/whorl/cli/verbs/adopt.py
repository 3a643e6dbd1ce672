"""cli/verbs/adopt: bring existing data or models into the store."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import reach
from whorl.cli.drawing import size
from whorl.cli.options import HERE, Project
from whorl.cli.terminal import Terminal

__all__ = ["adopt"]

PANEL = "Make"

What = Annotated[Path, typer.Argument(metavar="PATH", help="A file or folder; it is copied and left alone.")]
Kind = Annotated[str, typer.Option("--as", metavar="KIND", help="checkpoint, dialogues, documents, tokens, tokenizer, ...")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What recipes and other verbs call it: NAME@1.")]


def adopt(terminal: Terminal, path: What, *, kind: Kind, name: Name = None, project: Project = HERE) -> None:
    """Bring a model or data made elsewhere into the store, with the hashes of every file. Adopting twice adopts once.

    Examples:
      whorl adopt chats.jsonl --as dialogues --name chats
      whorl adopt ../smollm --as checkpoint --name start
    """
    workspace = reach.opened_workspace(project)
    artifact = reach.adopted(workspace, path, kind, name)
    named = workspace.latest(name) if name else None
    document = {
        "kind": artifact.kind,
        "fingerprint": artifact.fingerprint,
        "content": artifact.content,
        "size_bytes": artifact.size_bytes,
        "path": str(artifact.path),
        "name": named.address if named else None,
    }
    called = f" as {named.address}" if named else ""
    terminal.answer(
        document, f"adopted {path}{called}: {artifact.kind} {artifact.fingerprint[:12]}, {size(artifact.size_bytes)}"
    )

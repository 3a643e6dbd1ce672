"""tokens/stages/load: a vocabulary from elsewhere -> tokenizer, so that a corpus is encoded for somebody else's model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from whorl.core.artifact import file_sha256
from whorl.core.config import UNHASHED
from whorl.core.errors import ConfigError
from whorl.core.records import Role
from whorl.core.stage import Job, Stage
from whorl.tokens.foreign import Names, Source, bring_in, found_files, read_hugging_face, read_tiktoken
from whorl.tokens.splits import SPLITS, Split

__all__ = ["Load"]


class Load(Stage):
    """A Hugging Face `tokenizer.json` (a file, or a folder with its config) or a tiktoken rank file, with its own ids.

    Tokens that open and close documents and turns are those named here, else those of its config, else they are added.
    """

    makes: ClassVar[str] = "tokenizer"

    path: str = Field(json_schema_extra=UNHASHED)  # what is in the files is hashed, not where they are
    bos: str | None = None  # opens a document
    end: str | None = None  # closes a document and every turn
    pad: str | None = None  # fills; never the same as end
    mask: str | None = None  # stands for a hidden token; `<|mask|>` is added; default: as its config says, or none
    chat: bool = True  # whether turns can be rendered: role tokens that are missing are added
    roles: Mapping[Role, str] = Field(default_factory=dict)  # those that the vocabulary has under another name
    split: Split | None = None  # for a rank file, which does not say how text is split
    pattern: str | None = Field(default=None, min_length=1)  # or the regular expression itself
    special: Mapping[str, int] = Field(default_factory=dict)  # for a rank file: special tokens and their ids

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.split and self.pattern:
            raise ValueError("split names a pattern: give split or pattern, not both")
        if self.roles and not self.chat:
            raise ValueError("roles name the tokens of a chat, but chat is false")
        return self

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """Content of the files of the vocabulary."""
        files = zip(("vocabulary", "config"), found_files(root / self.path), strict=False)
        return {f"path.{what}": file_sha256(file) for what, file in files}

    def run(self, job: Job) -> Mapping[str, Any]:
        """Write the tokenizer's files into the artifact, and say which tokens mean what."""
        names = Names(self.bos, self.end, self.pad, dict(self.roles) if self.chat else None, self.mask)
        tokenizer, added = bring_in(self._source(job.root), names, job.name)
        tokenizer.save(job.folder)
        if not tokenizer.lossless:
            job.events.warn("this vocabulary does not give every text back: what it drops or changes is lost to the model")
        why_slow = {"encoder_reason": tokenizer.encoder_reason} if tokenizer.encoder_reason else {}
        return {
            "vocabulary": tokenizer.size,
            "lossless": tokenizer.lossless,
            **tokenizer.frame,
            **({} if tokenizer.mask is None else {"mask": tokenizer.decode([tokenizer.mask])}),
            **{f"role_{role}": token for role, token in tokenizer.roles.items()},
            "added_tokens": len(added),
            "added": " ".join(added),
            "encoder": tokenizer.encoder,
            **why_slow,
        }

    def _source(self, root: Path) -> Source:
        files = found_files(root / self.path)
        if files[0].suffix == ".json":
            told = [name for name in ("split", "pattern", "special") if getattr(self, name)]
            if told:
                raise ConfigError(f"{files[0].name} says itself how text is split; leave out {', '.join(told)}")
            return read_hugging_face(files)
        pattern = SPLITS[self.split] if self.split else self.pattern
        if pattern is None:
            names = ", ".join(SPLITS)
            raise ConfigError(
                f"{files[0].name} is a rank file, which does not say how text is split, and a wrong split gives wrong ids; "
                f"set split ({names}) or pattern"
            )
        return read_tiktoken(files[0], pattern=pattern, special=self.special)

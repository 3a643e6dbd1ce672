"""api: the verbs of the command line as functions of the same objects: plan, run, load.

    import whorl

    print(whorl.plan("recipe.yaml").to_json())
    outcome = whorl.run("recipe.yaml", overrides=["stages.base.model.depth=4"])
    model = whorl.load("chat")
    print(model.generate([{"role": "user", "content": "hello"}], max_tokens=40))

Draws nothing and asks nothing; errors are those of core/errors. The engine is reached by name, so that planning does not load
it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from whorl.core.door import load as reach
from whorl.core.errors import ArtifactError, DataError, ResourceError, UsageError
from whorl.core.records import Completion, Message
from whorl.flow.plan import Plan, make_plan
from whorl.flow.recipe import Recipe, load_recipe
from whorl.flow.run import Outcome, RunOptions, run_recipe
from whorl.flow.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from whorl.infer import answer, talk
    from whorl.infer.engine import Engine
    from whorl.infer.labels import Labels, Normalise
    from whorl.infer.request import Sampling
    from whorl.infer.setup import Setup
    from whorl.infer.structure import Structure

__all__ = ["Messages", "Model", "Prompt", "load", "plan", "run"]

Messages = Sequence[Message | Mapping[str, Any]]
Prompt = str | Messages
DTypeName = Literal["auto", "bf16", "fp32"]
Weights = Literal["auto", "as_is", "fp32", "bf16", "int8", "int4", "fp8"]
Pooling = Literal["first", "mean", "last"]


def plan(
    recipe: Recipe | Path | str,
    *,
    overrides: Iterable[str] = (),
    workspace: Path | str | None = None,
    options: RunOptions | None = None,
) -> Plan:
    """What a run would do, stage by stage, and what it will cost; makes nothing.

    `recipe` is a Recipe, a recipe file, or a project folder; `overrides` are `a.b=value` as on the command line; `workspace` is
    the project folder, by default the recipe's own (the current folder for a Recipe object). Of `options`, the selection
    (`first`, `last`) and `trust` count. Raises ConfigError for a wrong recipe.
    """
    options = options or RunOptions()
    found = _recipe(recipe, overrides, options.trust)
    return make_plan(found, _workspace(recipe, workspace), first=options.first, last=options.last)


def run(
    recipe: Recipe | Path | str,
    *,
    overrides: Iterable[str] = (),
    workspace: Path | str | None = None,
    options: RunOptions | None = None,
) -> Outcome:
    """Bring a recipe up to date; finished stages are reused and an unfinished one goes on. Arguments as for `plan`.

    Raises the errors of core/errors, and core.stage.Stopped when `options.stop` was set and the work is saved.
    """
    options = options or RunOptions()
    found = _recipe(recipe, overrides, options.trust)
    return run_recipe(found, _workspace(recipe, workspace), options)


def load(
    checkpoint: Path | str,
    workspace: Path | str | None = None,
    *,
    dtype: DTypeName = "auto",
    weights: Weights = "auto",
    drafts: Path | str | None = None,
) -> "Model":
    """A model to talk to, from a checkpoint folder or the name (`chat`, `chat@2`, a fingerprint) it has in a workspace.

    `dtype` is that of weights and arithmetic; `weights` rounds the matrices further (int8, int4; fp8 on a GPU that has it),
    which makes them faster to read and a little wrong. `drafts` guesses what comes next, where that saves time and without
    changing an answer: "text" from what was said before, else a smaller checkpoint of the same vocabulary.

    Raises ArtifactError when there is no such checkpoint, or it was trained with other chat markup than this whorl writes;
    UsageError for drafts of another vocabulary; ResourceError for weights that this machine cannot multiply.
    """
    opened = cast("type[answer.Model]", reach("whorl.infer.answer:Model"))
    setup = cast("type[Setup]", reach("whorl.infer.setup:Setup"))(weights=weights)
    folder = _checkpoint_folder(checkpoint, workspace)
    guessing = drafts if drafts is None or drafts == "text" else _checkpoint_folder(drafts, workspace)
    return Model(folder, opened.load(folder, dtype=dtype, setup=setup, drafts=cast("answer.Drafts | None", guessing)))


class Model:
    """A language model with everything it needs to answer; made by `load`.

    Nothing is cut silently: what does not fit the context is an error, and `fitting` says what would have to go.
    """

    def __init__(self, folder: Path, opened: "answer.Model") -> None:
        self.folder = folder
        self._opened = opened

    def __repr__(self) -> str:
        return f"Model({str(self.folder)!r}, context={self.max_positions})"

    @property
    def max_positions(self) -> int:
        """Tokens of context: prompt and answer together."""
        return self._opened.config.max_positions

    @property
    def engine(self) -> "Engine":
        """What computes the answers: ids in, ids out (docs/engine.md)."""
        return self._opened.engine

    def complete(self, prompt: Prompt, *, max_tokens: int | None = None, temperature: float = 0.0, seed: int = 0) -> Completion:
        """Text, ids, log-probabilities, and how the answer ended: `stop`, or `length` when it was cut at `max_tokens`.

        A string is text to go on with; messages (`{"role": ..., "content": ...}`) are a conversation to answer. Temperature 0
        is greedy; otherwise the same seed gives the same answer. `max_tokens` None: as many as the context has room for.
        Raises DataError when prompt and answer do not fit the context.
        """
        sampling = cast("type[Sampling]", reach("whorl.infer.request:Sampling"))
        room = max_tokens if max_tokens is not None else self.room(prompt)
        (said,) = self.answers([self.asked(prompt, sampling(room, temperature, seed=seed))])
        if said.finish == "error":
            raise ResourceError(f"{self.folder}: {said.error}; try dtype='fp32'")
        return said

    def room(self, prompt: Prompt) -> int:
        """Tokens that an answer may have. Raises DataError when there are none."""
        room = self.max_positions - self._num_tokens(prompt)
        if room < 1:
            raise DataError(f"the prompt fills the model's context of {self.max_positions} tokens; shorten it")
        return room

    def asked(self, prompt: Prompt, sampling: "Sampling", *, form: "Structure | None" = None) -> "answer.Asked":
        """A prompt and how it is to be answered, for `answers` and `stream`; `form` is what the answer may be.

        Raises DataError when prompt and answer do not fit the context.
        """
        ids = self._opened.prompt(prompt)
        if len(ids) + sampling.max_tokens > self.max_positions:
            raise DataError(
                f"the prompt has {len(ids)} tokens; with max_tokens={sampling.max_tokens} that is more than the model's "
                f"context of {self.max_positions}; shorten it, or ask for a shorter answer"
            )
        return cast("type[answer.Asked]", reach("whorl.infer.answer:Asked"))(ids, sampling, form=form)

    def answers(self, asked: Iterable["answer.Asked"]) -> Iterator[Completion]:
        """An answer to each, in order, computed side by side. One that failed says so (`finish` is error, `error` why)."""
        return self._opened.answers(asked)

    def likeliest(self, asked: "answer.Asked", *, width: int, n: int = 1, length_penalty: float = 1.0) -> "list[answer.Ranked]":
        """The `n` best answers that a beam search of this width finds, best first, each with its score.

        Raises UsageError for a sampling other than Sampling(max_tokens) or a structure, ResourceError for too many beams.
        """
        return self._opened.likeliest(asked, width=width, n=n, length_penalty=length_penalty)

    def stream(self, asked: "answer.Asked") -> Iterator["answer.Piece"]:
        """An answer while it is said, in whole characters; the last piece brings all of it. Closing the iterator stops it."""
        return self._opened.stream(asked)

    def talk(self, *, system: str | None = None) -> "talk.Talk":
        """A conversation: what was said is remembered, and not computed again."""
        return cast("type[talk.Talk]", reach("whorl.infer.talk:Talk"))(self._opened, system=system)

    def spelled(self, token: int) -> str:
        """The text of one id; of a part of a character, U+FFFD."""
        return self._opened.renderer.tokenizer.decode([token])

    def generate(self, prompt: Prompt, *, max_tokens: int | None = None, temperature: float = 0.0, seed: int = 0) -> str:
        """The text of `complete`."""
        return self.complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed).text

    def chat(self, messages: Messages, *, max_tokens: int | None = None, temperature: float = 0.0, seed: int = 0) -> Message:
        """The assistant's next turn, ready to be appended to the conversation."""
        return Message("assistant", self.generate(messages, max_tokens=max_tokens, temperature=temperature, seed=seed))

    def fitting(self, messages: Sequence[Message], *, max_tokens: int) -> list[Message]:
        """The longest end of a conversation that leaves room for an answer; a system turn stays in front.

        The oldest turns leave first, and what is left begins with the user's. Raises DataError when not even the last user turn
        fits.
        """
        system = [message for message in messages[:1] if message.role == "system"]
        turns = list(messages[len(system) :])
        while (num_tokens := self._num_tokens([*system, *turns])) + max_tokens > self.max_positions:
            later = next((place for place, turn in enumerate(turns) if place and turn.role == "user"), None)
            if later is None:
                raise DataError(
                    f"the last message makes {num_tokens} tokens; with {max_tokens} for the answer that is more than the "
                    f"model's context of {self.max_positions}; shorten it"
                )
            turns = turns[later:]
        return [*system, *turns]

    def embed(
        self, texts: Sequence[str], *, pooling: Pooling | None = None, normalise: bool = True
    ) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        """A vector for each text, (n, d), of length 1 so that dot products are cosines: what the model's last layer holds.

        Any model has them; those of one trained to tell texts apart are worth more. Raises DataError for a text that is longer
        than the context.
        """
        return self._opened.encoder.embed(self._framed(texts), pooling=pooling, normalise=normalise)

    def classify(self, texts: Sequence[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        """Log-probability of every class for each text, (n, c), nats. Raises UsageError for a model without classes."""
        return self._opened.encoder.classify(self._framed(texts))

    def shares(self, prompt: Prompt, answers: Sequence[str], *, normalise: "Normalise" = "none") -> list[float]:
        """How the model divides its belief among these answers, summing to one; nothing is said, and the prompt is read once.

        `normalise` by tokens or bytes, where long answers should not be at a disadvantage. Raises UsageError for no answers,
        DataError for an empty one.
        """
        labels = cast("type[Labels]", reach("whorl.infer.labels:Labels"))
        divided = cast("Callable[..., list[Any]]", reach("whorl.infer.labels:distributions"))
        encode = self._opened.renderer.tokenizer.encode
        asked = labels(self._opened.prompt(prompt), [encode(answer) for answer in answers])
        return [float(share) for share in divided(self.engine, [asked], normalise=normalise)[0]]

    def _num_tokens(self, prompt: Prompt) -> int:
        return len(self._opened.prompt(prompt))

    def _framed(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts as the model read documents: a causal one has not seen the end of a text when it tells about it."""
        tokenizer = self._opened.renderer.tokenizer
        end = [] if self._opened.config.causal else [tokenizer.end]
        return [[tokenizer.bos, *tokenizer.encode(text), *end] for text in texts]


def _checkpoint_folder(checkpoint: Path | str, workspace: Path | str | None) -> Path:
    folder = Path(checkpoint)
    if (folder / "config.json").is_file():
        return folder
    found = Workspace(Path(workspace or ".").resolve()).find(str(checkpoint))
    if found.kind != "checkpoint":
        raise ArtifactError(f"{checkpoint} is {found.kind}, wanted a checkpoint; 'whorl ls' lists them")
    return found.path


def _recipe(recipe: Recipe | Path | str, overrides: Iterable[str], trust: Iterable[str]) -> Recipe:
    if isinstance(recipe, Recipe):
        if list(overrides):
            raise UsageError("overrides change a recipe file; a Recipe object is changed with model_copy(update={...})")
        return recipe
    return load_recipe(Path(recipe), overrides, trust=trust)


def _workspace(recipe: Recipe | Path | str, workspace: Path | str | None) -> Workspace:
    if workspace is not None:
        return Workspace(Path(workspace).resolve())
    if isinstance(recipe, Recipe):
        return Workspace(Path.cwd())
    path = Path(recipe).resolve()
    return Workspace(path if path.is_dir() else path.parent)

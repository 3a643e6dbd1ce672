"""infer/answer: a checkpoint folder as something to talk to: text or messages in, an answer out, whole or while it is said.

Text becomes ids through the renderer the model was trained with, and only there. Whoever asks beside others shares the engine's
steps with them. Keeps no history (infer/talk) and does not serve.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from whorl.core.errors import ArtifactError, UsageError
from whorl.core.records import Completion, Message
from whorl.infer.beam import Beam, beam_search
from whorl.infer.draft import OpenDrafter, PromptLookup
from whorl.infer.draft_model import DraftModel
from whorl.infer.encode import Encoder
from whorl.infer.engine import Engine
from whorl.infer.guide import Guides
from whorl.infer.request import Request, Sampling, Told
from whorl.infer.setup import Setup
from whorl.infer.spoken import Spoken
from whorl.infer.stops import StopStrings
from whorl.infer.structure import Structure
from whorl.model.checkpoint import load
from whorl.model.config import ModelConfig
from whorl.model.parallel import DTypeName, pick_dtype, torch_dtype
from whorl.model.transformer import Transformer
from whorl.tokens.renderer import Renderer
from whorl.tokens.text_bytes import TextBytes
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Answer", "Asked", "Drafts", "Model", "Piece", "Ranked", "engine_of"]

Drafts = Literal["text"] | Path  # what guesses: the request's own text, or a smaller model in a folder

_NO_BYTES = "the ids of this vocabulary have no bytes of their own, so where in a text one ends cannot be said; leave them out"


class Asked(NamedTuple):
    """A prompt and how it is to be answered."""

    prompt: Sequence[int]
    sampling: Sampling
    seed: int | None = None  # of its draws; None: the sampling's
    form: Structure | None = None  # what the answer may be


class Piece(NamedTuple):
    """What was said since the piece before: whole characters, none of which a stop string can still take back."""

    text: str
    whole: Completion | None = None  # with the last piece: all of the answer


class Ranked(NamedTuple):
    """An answer that was looked for, and what it was ranked by: the sum of its log-probabilities / length ** length_penalty."""

    whole: Completion
    score: float


class Answer:
    """One answer on its way from ids to text."""

    def __init__(self, number: int, num_prompt: int, spelling: StopStrings | Spoken, *, stop_ids: frozenset[int]) -> None:
        self.number = number  # the engine's name for it
        self.num_prompt = num_prompt
        self.is_over = False
        self._spelling = spelling
        self._stop_ids = stop_ids
        self._shown: list[str] = []

    @property
    def text(self) -> str:
        """All that was shown."""
        return "".join(self._shown)

    def hear(self, told: Told) -> None:
        """Take what a step added."""
        for token in told.ids:
            if token not in self._stop_ids:
                self._spelling.feed(token)
        self.is_over = told.finish is not None

    def show(self) -> str:
        """Text that may be shown and was not yet; when the answer is over, the rest of it."""
        self._shown.append(self._spelling.ready())
        if self.is_over:
            self._shown[-1] += self._spelling.rest()
        return self._shown[-1]


class Model:
    """A model with its vocabulary and its markup."""

    def __init__(self, engine: Engine, renderer: Renderer) -> None:
        self.engine = engine
        self.renderer = renderer
        self._open: dict[int, Answer] = {}

    @classmethod
    def load(cls, folder: Path, *, dtype: DTypeName = "auto", setup: Setup = Setup(), drafts: Drafts | None = None) -> Self:
        """Open a checkpoint folder that holds a tokenizer. `drafts` guesses ahead: sooner done, the same answers.

        Raises ArtifactError when the checkpoint was trained with another markup than this version writes, UsageError for a
        smaller model of another vocabulary.
        """
        number = torch_dtype(pick_dtype(dtype).name)
        loaded = load(folder, dtype=number)
        renderer = Renderer(Tokenizer.load(folder))
        trained_with = loaded.extra.get("renderer", renderer.fingerprint)
        if trained_with != renderer.fingerprint:
            raise ArtifactError(
                f"{folder}: trained with renderer {trained_with[:12]}, this one is {renderer.fingerprint[:12]}; "
                "its prompts would not be those it was trained on; train it again or use the version of whorl that made it"
            )
        opener: OpenDrafter | None = PromptLookup if drafts == "text" else None
        if isinstance(drafts, Path):
            _check_alike(drafts, folder, renderer)
            opener = DraftModel(load(drafts, dtype=number).model, vocab_size=loaded.model.config.vocab_size).open
        return cls(engine_of(loaded.model, renderer, setup=setup, open_drafter=opener), renderer)

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return self.engine.model.config

    @cached_property
    def encoder(self) -> Encoder:
        """The model as a reader: vectors and classes."""
        return Encoder(self.engine.model, pad_id=self.engine.pad_id)

    def prompt(self, said: str | Sequence[Message | Mapping[str, Any]]) -> list[int]:
        """The ids to go on from: of a text as the beginning of a document, or of messages up to the assistant's next turn.

        Raises DataError for messages that are no conversation, UsageError for mappings that are no messages.
        """
        if isinstance(said, str):
            return [self.renderer.tokenizer.bos, *self.renderer.tokenizer.encode(said)]
        return self.renderer.prompt([turn if isinstance(turn, Message) else _turn(turn) for turn in said])

    def generate(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Completion:
        """The assistant's next turn after these messages (`{"role": ..., "content": ...}`); greedy unless heated.

        Raises DataError for messages that are no conversation or leave no room for the answer.
        """
        return self._one(self.prompt(messages), Sampling(max_tokens, temperature, top_p=top_p, seed=seed))

    def complete(
        self, text: str, *, max_tokens: int = 256, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0
    ) -> Completion:
        """How the text goes on, as a document and without markup: what a base model does."""
        return self._one(self.prompt(text), Sampling(max_tokens, temperature, top_p=top_p, seed=seed))

    def answers(self, asked: Iterable[Asked]) -> Iterator[Completion]:
        """An answer to each, in order, computed side by side; `asked` is read a little ahead of what is answered.

        A prompt that is asked several times in a row is computed once. An answer that failed says so (`finish`, `error`) and
        touches no other. Raises DataError for a prompt that the engine refuses. Closing the iterator gives up what is left.
        """
        alike = (list(group) for _, group in groupby(asked, key=lambda one: tuple(one.prompt)))
        waiting = deque[Answer]()
        try:
            while True:
                while sum(not answer.is_over for answer in waiting) < 2 * self.engine.setup.rows and (
                    group := next(alike, None)
                ):
                    waiting.extend(self._begin(group))
                if not waiting:
                    return
                while not waiting[0].is_over:
                    self._step()
                yield self.end(waiting.popleft())
        finally:
            for answer in waiting:
                self.end(answer)

    def stream(self, asked: Asked) -> Iterator[Piece]:
        """The answer while it is said; the last piece brings all of it. Closing the iterator gives the answer up."""
        answer = self.begin(asked)
        try:
            while not answer.is_over:
                text = self.more(answer)
                if text:
                    yield Piece(text)
        finally:
            whole = self.end(answer)
        yield Piece("", whole)

    def likeliest(self, asked: Asked, *, width: int, n: int = 1, length_penalty: float = 1.0) -> list[Ranked]:
        """The `n` best answers that a search with so many beams finds, best first; fewer only if fewer are possible.

        Raises UsageError for a sampling or a structure that a search does not follow, and what infer/beam raises.
        """
        if asked.form is not None or asked.sampling != Sampling(asked.sampling.max_tokens):
            raise UsageError(
                "beam search looks for the likeliest answers: it draws nothing, changes no logits, knows no stop strings and "
                f"keeps to no structure; got {asked.sampling}, form={asked.form}; want Sampling(max_tokens) alone"
            )
        found = beam_search(self.engine, asked.prompt, Beam(width, asked.sampling.max_tokens, n, length_penalty))
        return [
            Ranked(self._whole(one.ids, one.logprobs, one.finish, num_prompt=len(asked.prompt)), one.score) for one in found
        ]

    def begin(self, asked: Asked) -> Answer:
        """Put a question to the engine; an `end` belongs to it. Raises what the engine and the guide raise for a wrong one."""
        return self._begin([asked])[0]

    def more(self, answer: Answer) -> str:
        """Let the engine make one step; what of this answer may be shown now."""
        self._step()
        return answer.show()

    def end(self, answer: Answer) -> Completion:
        """The one way out: an answer that is over or given up. Nothing of it is kept."""
        if not answer.is_over:
            self.engine.abort(answer.number)
        while not answer.is_over:  # the engine hears of it at its next step
            self._step()
        del self._open[answer.number]
        said = self.engine.take(answer.number)
        answer.show()
        return Completion(
            answer.text,
            said.ids,
            said.logprobs,
            said.finish,
            error=said.error,
            top=said.top,
            num_prompt=answer.num_prompt,
            num_cached=said.num_cached,
            num_drafted=said.num_drafted,
            num_accepted=said.num_accepted,
        )

    def _whole(
        self, ids: tuple[int, ...], logprobs: tuple[float, ...], finish: Literal["stop", "length"], *, num_prompt: int
    ) -> Completion:
        """An answer of which all ids are known."""
        answer = Answer(-1, num_prompt, self._spelling(()), stop_ids=self.engine.stop_ids)
        answer.hear(Told(-1, ids, logprobs, (), finish))
        answer.show()
        return Completion(answer.text, ids, logprobs, finish, num_prompt=num_prompt)

    def _begin(self, alike: Sequence[Asked]) -> list[Answer]:
        """Put questions of one prompt to the engine."""
        spellings = [self._spelling(one.sampling.stop) for one in alike]
        numbers = self.engine.submit_alike([self._request(one) for one in alike])
        for number, one, spelling in zip(numbers, alike, spellings, strict=True):
            self._open[number] = Answer(number, len(one.prompt), spelling, stop_ids=self.engine.stop_ids)
        return [self._open[number] for number in numbers]

    def _request(self, asked: Asked) -> Request:
        guide = None if asked.form is None else self._guides.guide(asked.form)
        return Request(asked.prompt, asked.sampling, seed=asked.seed, guide=guide)

    def _one(self, prompt: Sequence[int], sampling: Sampling) -> Completion:
        (whole,) = self.answers([Asked(prompt, sampling)])
        return whole

    def _step(self) -> None:
        for told in self.engine.step():
            if told.number in self._open:
                self._open[told.number].hear(told)

    def _spelling(self, stop: Sequence[str]) -> StopStrings | Spoken:
        if self.engine.token_bytes is not None:
            return StopStrings(stop, self.engine.token_bytes)
        if stop:
            raise UsageError(f"stop strings: {_NO_BYTES}")
        return Spoken(self.renderer.tokenizer)

    @cached_property
    def _guides(self) -> Guides:
        if self.engine.token_bytes is None:
            raise UsageError(f"structures: {_NO_BYTES}")
        special = self.renderer.tokenizer.special_ids.tolist()
        return Guides(self.engine.token_bytes, stop_ids=self.engine.stop_ids, special_ids=special)


def engine_of(
    model: Transformer, renderer: Renderer, *, setup: Setup = Setup(), open_drafter: OpenDrafter | None = None
) -> Engine:
    """An engine for a model and its vocabulary."""
    spelled = TextBytes(renderer.tokenizer).spelled
    if spelled is not None:  # ids that only the model has spell nothing
        spelled = (*spelled, *[b""] * (model.config.vocab_size - len(spelled)))
    pad = renderer.tokenizer.pad
    return Engine(model, stop_ids=renderer.stop_ids, pad_id=pad, token_bytes=spelled, setup=setup, open_drafter=open_drafter)


def _check_alike(drafts: Path, folder: Path, renderer: Renderer) -> None:
    """Raise UsageError unless the ids of both checkpoints mean the same."""
    theirs = Tokenizer.load(drafts)
    if theirs.fingerprint != renderer.tokenizer.fingerprint:
        raise UsageError(
            f"{drafts}: its vocabulary is {theirs.fingerprint[:12]} ({theirs.size} ids), that of {folder} is "
            f"{renderer.tokenizer.fingerprint[:12]} ({renderer.tokenizer.size} ids), so its guesses would mean other texts; "
            "want a smaller model of the same vocabulary, or guesses from the text"
        )


def _turn(turn: Mapping[str, Any]) -> Message:
    if set(turn) != {"role", "content"}:
        raise UsageError(f"a message has the keys {sorted(turn)}; want 'role' and 'content'")
    return Message(turn["role"], turn["content"])

"""infer/answer: a checkpoint folder as something to talk to: messages in, an answer out.

Text becomes ids through the renderer the model was trained with, and only there. Does not stream, serve or keep a history.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from whorl.core.errors import ArtifactError, UsageError
from whorl.core.records import Completion, Message
from whorl.infer.engine import Engine, Sampling
from whorl.model.checkpoint import load
from whorl.model.parallel import DTypeName, pick_dtype, torch_dtype
from whorl.tokens.renderer import Renderer
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Model"]


class Model:
    """A model with its vocabulary and its markup."""

    def __init__(self, engine: Engine, renderer: Renderer) -> None:
        self.engine = engine
        self.renderer = renderer

    @classmethod
    def load(cls, folder: Path, *, dtype: DTypeName = "auto") -> Self:
        """Open a checkpoint folder that holds a tokenizer.

        Raises ArtifactError when the checkpoint was trained with another markup than this version writes.
        """
        loaded = load(folder, dtype=torch_dtype(pick_dtype(dtype).name))
        renderer = Renderer(Tokenizer.load(folder))
        trained_with = loaded.extra.get("renderer", renderer.fingerprint)
        if trained_with != renderer.fingerprint:
            raise ArtifactError(
                f"{folder}: trained with renderer {trained_with[:12]}, this one is {renderer.fingerprint[:12]}; "
                "its prompts would not be those it was trained on; train it again or use the version of whorl that made it"
            )
        engine = Engine(loaded.model, stop_ids=renderer.stop_ids, pad_id=renderer.tokenizer.pad)
        return cls(engine, renderer)

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
        turns = [turn if isinstance(turn, Message) else _turn(turn) for turn in messages]
        return self._decode(self.renderer.prompt(turns), Sampling(max_tokens, temperature, top_p=top_p, seed=seed))

    def complete(
        self, text: str, *, max_tokens: int = 256, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0
    ) -> Completion:
        """How the text goes on, as a document and without markup: what a base model does."""
        prompt = [self.renderer.tokenizer.bos, *self.renderer.tokenizer.encode(text)]
        return self._decode(prompt, Sampling(max_tokens, temperature, top_p=top_p, seed=seed))

    def _decode(self, prompt: Sequence[int], sampling: Sampling) -> Completion:
        said = self.engine.generate([prompt], sampling)[0]
        text = self.renderer.tokenizer.decode([token for token in said.ids if token not in self.engine.stop_ids])
        return Completion(text, said.ids, said.logprobs, said.finish)


def _turn(turn: Mapping[str, Any]) -> Message:
    if set(turn) != {"role", "content"}:
        raise UsageError(f"a message has the keys {sorted(turn)}; want 'role' and 'content'")
    return Message(turn["role"], turn["content"])

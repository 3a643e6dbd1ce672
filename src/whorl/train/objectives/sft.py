"""train/objectives/sft: predict what the assistant says in a dialogue, and the end of its turns; the rest is only read.

Reads a dialogues artifact; what counts as the assistant's is the renderer's word. A dialogue is never cut by default: an
answer without its question teaches nothing.
"""

from pathlib import Path
from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from whorl.core.config import Part
from whorl.core.records import Dialogue, read_dialogues
from whorl.model.transformer import Transformer
from whorl.tokens.renderer import Renderer
from whorl.tokens.sequences import dialogue_sequences
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import Rows
from whorl.train.nats import summed_nats
from whorl.train.objectives import Material, Objective, OnLong

__all__ = ["Sft"]


class Sft(Objective):
    """Cross-entropy of the assistant's tokens."""

    reads: ClassVar[str] = "dialogues"

    on_long: OnLong = "fail"  # a dialogue longer than a row: fail, skip it (counted), or split it
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)  # share of a target's weight spread over all ids
    z_loss: float = Field(default=0.0, ge=0)  # weight of the squared log-normaliser, in nats per target; 1e-4 is usual

    def material(self, folder: Path, part: Part, tokenizer: Tokenizer) -> Material:
        """See Objective.material. Text that carries loss is what the assistant says."""
        dialogues = list(read_dialogues(folder, (part,)))
        sequences = dialogue_sequences(dialogues, Renderer(tokenizer))
        return Material(sequences, lambda index: _said_bytes(dialogues[index]), self.on_long)

    def loss(self, model: Transformer, rows: Rows) -> Float[Tensor, ""]:
        """See Objective.loss."""
        return summed_nats(model, rows, label_smoothing=self.label_smoothing, z_loss=self.z_loss)


def _said_bytes(dialogue: Dialogue) -> int:
    return sum(len(message.content.encode()) for message in dialogue.messages if message.role == "assistant")

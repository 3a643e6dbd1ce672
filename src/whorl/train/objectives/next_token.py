"""train/objectives/next_token: predict every token of a text from those before it in the same document.

Reads a tokens artifact. Documents longer than a row are cut into pieces that share no input and miss no target.
"""

from pathlib import Path
from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from whorl.core.config import Part
from whorl.model.transformer import Transformer
from whorl.tokens.sequences import text_sequences
from whorl.tokens.shards import TokenShards
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import Rows
from whorl.train.nats import summed_nats
from whorl.train.objectives import Material, Objective

__all__ = ["NextToken"]


class NextToken(Objective):
    """Cross-entropy of every token after a document's first."""

    reads: ClassVar[str] = "tokens"

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)  # share of a target's weight spread over all ids
    z_loss: float = Field(default=0.0, ge=0)  # weight of the squared log-normaliser, in nats per target; 1e-4 is usual

    def material(self, folder: Path, part: Part, tokenizer: Tokenizer) -> Material:
        """See Objective.material. The ids were made when the corpus was encoded."""
        del tokenizer
        shards = TokenShards.open(folder, part)
        return Material(text_sequences(shards), shards.doc_bytes, "split")

    def loss(self, model: Transformer, rows: Rows) -> Float[Tensor, ""]:
        """See Objective.loss."""
        return summed_nats(model, rows, label_smoothing=self.label_smoothing, z_loss=self.z_loss)

"""train/objectives/masked: tell hidden tokens of a text from those on both sides of them in the same document.

Reads a tokens artifact whose vocabulary has a mask. The tokens are hidden anew at every step (train/masking): in another epoch
others are. BERT's own is rate: 0.15 (https://arxiv.org/abs/1810.04805); 0.3 learns faster from the same text
(https://arxiv.org/abs/2202.08005, and https://arxiv.org/abs/2412.13663, which trains with it).
"""

import numpy as np
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from whorl.core.errors import ConfigError
from whorl.model.config import ModelConfig
from whorl.model.transformer import Transformer
from whorl.tokens.batch import Batch
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import Rows
from whorl.train.gaps import gap_nats
from whorl.train.masking import masked_batch
from whorl.train.nats import hidden_states
from whorl.train.objectives import GapObjective

__all__ = ["Masked"]


class Masked(GapObjective):
    """Cross-entropy of every hidden token."""

    rate: float = Field(default=0.3, gt=0, lt=1)  # share of a document's tokens that are hidden

    def check_model(self, config: ModelConfig) -> None:
        """See Objective.check_model."""
        super().check_model(config)
        if config.classes:
            raise ConfigError(
                f"objective masked would never train the model's {config.classes} classes; use objective next_sentence, or a "
                "model without classes"
            )

    def prepared(self, batch: Batch, rng: np.random.Generator, tokenizer: Tokenizer) -> Batch:
        """See Objective.prepared."""
        return masked_batch(batch, self.masking, rng, tokenizer)

    def loss(self, model: Transformer, rows: Rows) -> Float[Tensor, ""]:
        """See Objective.loss."""
        return gap_nats(model, hidden_states(model, rows), rows)

"""train/objectives/next_sentence: fill gaps in pairs of segments, and tell whether the second goes on where the first ends.

BERT's own objective, https://arxiv.org/abs/1810.04805. Reads a tokens artifact whose vocabulary has a mask; pairs and gaps are
drawn anew at every step (train/pairs, train/masking). As there, the loss of a step is the mean over its hidden tokens plus the
mean over its pairs: a pair weighs as much as the step's hidden tokens divided by its pairs, which both are known before the
step, so micro-batches change nothing.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

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
from whorl.train.pairs import paired_batch

__all__ = ["NextSentence"]


class NextSentence(GapObjective):
    """Cross-entropy of every hidden token, and of every pair."""

    rate: float = Field(default=0.15, gt=0, lt=1)  # share of a pair's tokens that are hidden

    def check_model(self, config: ModelConfig) -> None:
        """See Objective.check_model."""
        super().check_model(config)
        if config.segments < 2 or config.pooler != "first" or config.classes != 2:
            raise ConfigError(
                f"objective next_sentence asks of the first place whether the second segment follows, but the model has "
                f"segments={config.segments}, pooler={config.pooler}, classes={config.classes}; want 2 segments and 2 classes "
                "told from the first place: model: {use: bert, next_sentence: true}"
            )

    def prepared(self, batch: Batch, rng: np.random.Generator, tokenizer: Tokenizer) -> Batch:
        """See Objective.prepared."""
        paired = paired_batch(batch, rng, tokenizer)
        found = masked_batch(paired.batch, self.masking, rng, tokenizer)
        return replace(found, label_weight=found.num_targets / max(1, paired.num_pairs))

    def loss(self, model: Transformer, rows: Rows) -> Float[Tensor, ""]:
        """See Objective.loss. The sum over pairs comes in times `label_weight`."""
        assert rows.labels is not None, "rows of this objective come from its `prepared`"
        hidden = hidden_states(model, rows)  # n d
        labels = rows.labels.flatten()
        asked = (labels >= 0).nonzero().squeeze(1)
        scores = model.classify(hidden[asked]).float()
        told = functional.cross_entropy(scores, labels[asked], reduction="sum")
        return gap_nats(model, hidden, rows) + rows.label_weight * told

"""evals/examinee: a checkpoint sitting an exam: its engine, and the renderer it was kept with.

Base and tuned models are asked through the same renderer, so that before and after differ in the weights alone.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from whorl.core.seed import Seed
from whorl.infer.answer import Model, engine_of
from whorl.infer.engine import Engine
from whorl.model.checkpoint import load_config
from whorl.model.config import ModelConfig
from whorl.model.parallel import DTypeName
from whorl.model.transformer import Transformer
from whorl.tokens.renderer import Renderer

__all__ = ["UNTRAINED", "Examinee", "load_examinee", "untrained"]

UNTRAINED = "untrained"  # the name of a model with newly drawn weights; no model of an exam may be called so


@dataclass(frozen=True)
class Examinee:
    """A model under examination."""

    name: str
    family: str
    config: ModelConfig
    model: Model

    @property
    def engine(self) -> Engine:
        """What scores and answers ids."""
        return self.model.engine

    @property
    def renderer(self) -> Renderer:
        """What it was kept with."""
        return self.model.renderer


def load_examinee(name: str, folder: Path, *, dtype: DTypeName) -> Examinee:
    """Open a checkpoint folder for an exam. Raises DataError or ArtifactError when it is not whole."""
    family, config = load_config(folder)
    return Examinee(name, family.model_type, config, Model.load(folder, dtype=dtype))


def untrained(examinee: Examinee, *, seed: Seed) -> Examinee:
    """The same architecture and vocabulary with newly drawn weights: what no training at all scores."""
    trained = examinee.engine.model
    model = Transformer.fresh(examinee.config, seed).to(trained.head_weight.device, trained.head_weight.dtype).eval()
    model.compute_dtype = trained.compute_dtype
    return replace(examinee, name=UNTRAINED, model=Model(engine_of(model, examinee.renderer), examinee.renderer))

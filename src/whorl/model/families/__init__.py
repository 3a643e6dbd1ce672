"""model/families: the door of architectures: dials that become a ModelConfig, and the public layout they are stored in.

A family is a preset and a declarative map, never a second forward: what it needs and the Transformer lacks is a new axis.
To add one, write `<name>.py` with a Family that names its dials, the layout of its weights and both ways through config.json; the
laws in tests/model then hold it to the same figures as every other, and test_hub to those of transformers.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.core.config import Member
from whorl.core.errors import ConfigError, DataError
from whorl.model.config import Activation, ModelConfig
from whorl.model.dials import head_dim_for, heads_for, mlp_width_for, width_for
from whorl.model.layout import Layout

__all__ = ["Family", "RotaryDecoder", "family_of"]


class Family(Member, is_door=True):
    """An architecture with one dial, `depth`; every other shape follows from it and can be set."""

    model_type: ClassVar[str]  # what config.json calls it
    architecture: ClassVar[str]  # the class that transformers loads it with
    layout: ClassVar[Layout]  # where its weights stand in public files

    depth: int = Field(ge=1)
    width: int | None = None  # default: 64 * depth
    heads: int | None = None  # default: width / head_dim
    mlp_width: int | None = None  # default: 8/3 of the width, rounded up to a multiple of 64
    tied: bool = True  # below a billion parameters an untied output matrix is mostly vocabulary
    init_std: float = Field(default=0.02, gt=0)
    zero_outputs: bool = True  # every block starts as the identity

    @abstractmethod
    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """The architecture these dials mean for a vocabulary and a context length."""

    @classmethod
    @abstractmethod
    def to_hub(cls, config: ModelConfig) -> dict[str, Any]:
        """The architecture fields of config.json. Raises ConfigError for axes the layout cannot hold."""

    @classmethod
    @abstractmethod
    def from_hub(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """The architecture a public config.json describes. Raises DataError for what is not built here."""

    @classmethod
    @abstractmethod
    def misfit(cls, config: ModelConfig) -> str | None:
        """The first axis (`name=value`) that this family's public layout cannot hold, or None when all fit."""

    @classmethod
    def require_fit(cls, config: ModelConfig) -> None:
        """Raise ConfigError, naming the families that can hold the config, when this one cannot."""
        misfit = cls.misfit(config)
        if misfit is None:
            return
        able = [name for name in Family.names() if Family.find(name, frozenset()).misfit(config) is None]
        hint = f"; use {' or '.join(able)}" if able else "; no family's public layout can"
        raise ConfigError(f"the {cls.model_type} layout cannot hold {misfit}{hint}")

    def shape(self) -> tuple[int, int]:
        """Width and feed-forward width, given or derived."""
        width = self.width or width_for(self.depth)
        return width, self.mlp_width or mlp_width_for(width)


class RotaryDecoder(Family):
    """The dials of families with rotary positions, RMS norms and gated feed-forwards; what differs is theirs to add."""

    head_dim: int | None = None  # default: width / heads, or 64 (128 from width 1024 on)
    kv_heads: int | None = None  # default: heads; sharing keys pays when the cache outgrows the weights
    activation: Activation = "silu"
    norm_eps: float
    rope_theta: float = 10_000.0  # right for contexts of a few thousand; longer ones want more

    def axes(self, vocab_size: int, max_positions: int, *, qk_norm: bool) -> ModelConfig:
        """Dials to axes. Raises ConfigError for a width that its heads do not fill."""
        width, mlp_width = self.shape()
        head_dim = self.head_dim or (width // self.heads if self.heads else head_dim_for(width))
        heads = self.heads or heads_for(width, head_dim)
        return ModelConfig(
            vocab_size=vocab_size,
            width=width,
            depth=self.depth,
            heads=heads,
            kv_heads=self.kv_heads or heads,
            head_dim=head_dim,
            mlp_width=mlp_width,
            max_positions=max_positions,
            activation=self.activation,
            norm_eps=self.norm_eps,
            qk_norm="head" if qk_norm else "none",
            rope_theta=self.rope_theta,
            tied=self.tied,
            init_std=self.init_std,
            zero_outputs=self.zero_outputs,
        )


def family_of(fields: Mapping[str, Any]) -> type[Family]:
    """The family that a public config.json belongs to. Raises DataError naming the known ones."""
    members = [Family.find(name, frozenset()) for name in Family.names()]
    for member in members:
        if fields.get("model_type") == member.model_type:
            return member
    known = ", ".join(member.model_type for member in members)
    raise DataError(f"config.json: model_type={fields.get('model_type')!r} is not supported; known: {known}")

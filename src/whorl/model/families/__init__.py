"""model/families: the door of architectures: dials that become a ModelConfig, and the public layout they are stored in.

A family is a preset and a declarative map, never a second forward: what it needs and the Transformer lacks is a new axis.
To add one, write `<name>.py` with a Family that names its dials, the axes its layout can hold, where its weights lie and both
ways through config.json; the laws in tests/model then hold it to the same figures as every other, and test_hub to those of
transformers. docs/models.md shows the steps.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from whorl.core.config import Member
from whorl.core.errors import ConfigError, DataError
from whorl.model.config import Activation, ModelConfig, RopeScaling
from whorl.model.dials import head_dim_for, heads_for, mlp_width_for, width_for
from whorl.model.hub import built, decoder_axes, decoder_fields
from whorl.model.layout import Layout

__all__ = ["SHAPE", "Family", "RotaryDecoder", "family_of"]

# Axes every public layout states, or that leave no trace in a finished model (how weights began).
SHAPE = frozenset({"vocab_size", "width", "depth", "heads", "mlp_width", "max_positions"}) | frozenset(
    {"activation", "norm_eps", "tied", "init_std", "zero_outputs"}
)


class Family(Member, is_door=True):
    """An architecture with one dial, `depth`; every other shape follows from it and can be set."""

    model_type: ClassVar[str]  # what config.json calls it
    architecture: ClassVar[str]  # the class that transformers loads it with
    layout: ClassVar[Layout]  # where its weights stand in public files
    free: ClassVar[frozenset[str]] = SHAPE  # axes of ModelConfig that its config.json can state
    fixed: ClassVar[Mapping[str, object]] = {}  # axes its name alone states; all others are at ModelConfig's default
    split: ClassVar[str | None] = (
        None  # how AutoTokenizer cuts text for it whatever tokenizer.json says, after NFC; None: as said
    )

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
    def layout_of(cls, config: ModelConfig) -> Layout:
        """Where the weights of this config stand, for families whose public names depend on it."""
        del config
        return cls.layout

    @classmethod
    def misfit(cls, config: ModelConfig) -> str | None:
        """The first axis (`name=value`) that this family's public layout cannot hold, or None when all fit."""
        for axis, field in ModelConfig.model_fields.items():
            value = getattr(config, axis)
            if axis not in cls.free and value != cls.fixed.get(axis, field.default):
                return f"{axis}={value!r}"
        return cls.clash(config)

    @classmethod
    def clash(cls, config: ModelConfig) -> str | None:
        """Axes that the layout can state one by one and not together, as misfit says it; None: no clash."""
        del config
        return None

    @classmethod
    def made(cls, axes: Mapping[str, Any]) -> ModelConfig:
        """The architecture that a file's axes make. Raises DataError for what this family cannot be."""
        config = built({**axes, **cls.fixed})
        clash = cls.clash(config)
        if clash is not None:
            raise DataError(f"config.json: {clash}: {cls.architecture} has no such thing")
        return config

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
    """The dials and the config.json of llama and its descendants: rotary positions, RMS norms, gated feed-forwards.

    What differs is theirs to add: axes that the name fixes, dials and fields of their own, defaults of absent fields.
    """

    free: ClassVar[frozenset[str]] = SHAPE | {"kv_heads", "head_dim", "rope_theta", "rope_scaling"}
    absent: ClassVar[Mapping[str, object]] = {}  # what transformers takes an absent field of config.json for

    head_dim: int | None = None  # default: width / heads, or 64 (128 from width 1024 on)
    kv_heads: int | None = None  # default: heads; sharing keys pays when the cache outgrows the weights
    activation: Activation = "silu"
    norm_eps: float
    rope_theta: float = 10_000.0  # right for contexts of a few thousand; longer ones want more
    rope_scaling: RopeScaling | None = None  # to stretch a trained model over longer contexts

    def configure(self, vocab_size: int, max_positions: int) -> ModelConfig:
        """See Family.configure. Raises ConfigError for a width that its heads do not fill."""
        width, mlp_width = self.shape()
        head_dim = self.head_dim or (width // self.heads if self.heads else head_dim_for(width))
        heads = self.heads or heads_for(width, head_dim)
        axes = {
            "vocab_size": vocab_size,
            "width": width,
            "depth": self.depth,
            "heads": heads,
            "kv_heads": self.kv_heads or heads,
            "head_dim": head_dim,
            "mlp_width": mlp_width,
            "max_positions": max_positions,
            "activation": self.activation,
            "norm_eps": self.norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": self.rope_scaling,
            "tied": self.tied,
            "init_std": self.init_std,
            "zero_outputs": self.zero_outputs,
        }
        return ModelConfig.model_validate({**axes, **self.fixed, **self.own_axes()})

    def own_axes(self) -> dict[str, Any]:
        """The axes that this family's own dials mean."""
        return {}

    @classmethod
    def own_fields(cls, config: ModelConfig) -> dict[str, Any]:
        """What this family's config.json states beyond the shape."""
        del config
        return {}

    @classmethod
    def read_own(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The axes that a config.json states beyond the shape. Raises DataError for what is not built here."""
        del fields
        return {}

    @classmethod
    def to_hub(cls, config: ModelConfig) -> dict[str, Any]:
        """The architecture fields of config.json."""
        cls.require_fit(config)
        named = {"model_type": cls.model_type, "architectures": [cls.architecture]}
        return {**named, **decoder_fields(config), **cls.own_fields(config)}

    @classmethod
    def from_hub(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """The architecture of a public config.json."""
        fields = {**cls.absent, **fields}
        return cls.made({**decoder_axes(fields), **cls.read_own(fields)})


def family_of(fields: Mapping[str, Any]) -> type[Family]:
    """The family that a public config.json belongs to. Raises DataError naming the known ones."""
    members = [Family.find(name, frozenset()) for name in Family.names()]
    for member in members:
        if fields.get("model_type") == member.model_type:
            return member
    known = ", ".join(member.model_type for member in members)
    raise DataError(f"config.json: model_type={fields.get('model_type')!r} is not supported; known: {known}")

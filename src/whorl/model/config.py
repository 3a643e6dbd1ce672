"""model/config: the architecture as flat axes; every field changes what the network computes or how it starts.

A config is what a family's dials or a public config.json resolve to. Holds nothing about data, devices, precision or
training.
"""

from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from whorl.core.config import Config

__all__ = ["Activation", "ModelConfig", "RopeScaling", "View"]

Activation = Literal["silu", "relu", "relu2", "gelu", "gelu_tanh"]


class RopeScaling(Config):
    """How rotary positions trained on `original_positions` are stretched over `factor` times as many."""

    kind: Literal["linear", "llama3", "yarn"]  # arXiv 2306.15595; the Llama 3.1 model card; arXiv 2309.00071
    factor: float = Field(ge=1)
    original_positions: int = Field(ge=1)
    low_frequency: float = Field(default=1.0, gt=0)  # llama3: turns within the original length below which all is stretched
    high_frequency: float = Field(default=4.0, gt=0)  # llama3: turns above which nothing is
    beta_fast: float = Field(default=32.0, gt=0)  # yarn: turns above which nothing is stretched
    beta_slow: float = Field(default=1.0, gt=0)  # yarn: turns below which all is
    truncate: bool = True  # yarn: the borders between are whole channels
    magnitude: float | None = Field(default=None, gt=0)  # yarn: factor on cosines and sines; None: 0.1 ln(factor) + 1

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        for kind, names in _OF_KIND.items():
            for name in names if kind != self.kind else ():
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} goes with kind: {kind}, got kind: {self.kind}")
        if self.low_frequency >= self.high_frequency or self.beta_slow >= self.beta_fast:
            raise ValueError("want low_frequency < high_frequency and beta_slow < beta_fast")
        return self


# Which kind of scaling reads which fields; the rest belongs to all.
_OF_KIND = {"llama3": ("low_frequency", "high_frequency"), "yarn": ("beta_fast", "beta_slow", "truncate", "magnitude")}


class View(NamedTuple):
    """How one layer sees positions."""

    window: int | None  # keys further away than this many positions, the own one included, are not seen
    theta: float
    scaling: RopeScaling | None


class ModelConfig(Config):
    """One architecture. Modules are resolved from it once, when a Transformer is built."""

    vocab_size: int = Field(ge=1)
    width: int = Field(ge=1)  # channels of the residual stream
    depth: int = Field(ge=1)  # number of blocks
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)  # fewer than heads: grouped queries, https://arxiv.org/abs/2305.13245
    head_dim: int = Field(ge=2)  # need not be width / heads
    mlp_width: int = Field(ge=1)
    max_positions: int = Field(ge=1)  # longest sequence the position tables cover

    activation: Activation = "silu"
    gated: bool = True  # down(act(gate x) * up x) instead of down(act(up x)), https://arxiv.org/abs/2002.05202
    mlp_bias: bool = False

    norm: Literal["rms", "layer"] = "rms"  # arXiv 1910.07467, 1607.06450
    norm_at: Literal["pre", "post", "output"] = "pre"  # x + f(n(x)); n(x + f(x)); x + n(f(x))
    norm_eps: float = Field(default=1e-5, gt=0)
    norm_bias: bool = False  # layer norms only
    embed_norm: bool = False  # a norm on the sum of the embeddings
    first_norm: bool = True  # False: the first block's attention reads its input as it is
    final_norm: bool = True

    qk_norm: Literal["none", "head", "all"] = "none"  # RMSNorm over the channels of each query and key head, or of all
    attn_bias: bool = False  # of queries, keys and values
    out_bias: bool = False  # of what attention writes
    windows: tuple[int | None, ...] = ()  # of each layer; (): every layer sees everything

    positions: Literal["rotary", "learned"] = "rotary"
    segments: int = Field(default=0, ge=0)  # learned embeddings that tell parts of an input apart
    rope_theta: float = Field(default=10_000.0, gt=1)  # longest wavelength of the rotary positions, in units of 2 pi
    rope_scaling: RopeScaling | None = None
    local_theta: float | None = Field(default=None, gt=1)  # of layers with a window, never scaled; None: rope_theta

    experts: int = Field(default=0, ge=0)  # feed-forwards to choose from; 0: one, always used
    experts_per_token: int = Field(default=0, ge=0)
    expert_width: int = Field(default=0, ge=0)
    shared_width: int = Field(default=0, ge=0)  # of an expert that every token uses as well; 0: none
    shared_gate: bool = False  # what the shared expert gives is weighted, token by token, by a sigmoid of its own
    expert_layers: tuple[bool, ...] = ()  # which layers choose; (): all of them
    router: Literal["softmax", "sigmoid"] = "softmax"  # arXiv 1701.06538; arXiv 2412.19437
    normalise_top: bool = True  # the weights of the chosen experts sum to one
    routed_scale: float = Field(default=1.0, gt=0)  # on the weights of the chosen experts, after that
    balance: Literal["loss", "bias", "none"] = "loss"  # arXiv 2101.03961; arXiv 2408.15664
    balance_weight: float = Field(default=0.01, ge=0)  # of the balancing loss, or the step of the balancing bias
    router_z: float = Field(default=0.0, ge=0)  # weight of the squared log-sum of router scores, arXiv 2202.08906

    tied: bool = True  # the output matrix is the embedding
    head_transform: bool = False  # a dense layer, activation and norm before the output matrix
    head_transform_bias: bool = False
    head_bias: bool = False
    pooler: Literal["none", "first", "mean"] = "none"  # what stands for a whole sequence: its first place, or all of them
    pooler_dense: bool = False  # a dense layer and tanh before the classes; False: what stands before the output matrix
    classes: int = Field(default=0, ge=0)  # of sequences; 0: none

    causal: bool = True
    init_std: float = Field(default=0.02, gt=0)  # normal initialisation of every matrix
    zero_outputs: bool = True  # matrices that write into the residual stream start at zero, https://arxiv.org/abs/2203.03466

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads={self.heads} is not a multiple of kv_heads={self.kv_heads}")
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim}: rotary positions turn pairs of channels; want an even number")
        return self

    @model_validator(mode="after")
    def _patterns_fit(self) -> Self:
        for name in ("windows", "expert_layers"):
            pattern = getattr(self, name)
            if pattern and len(pattern) != self.depth:
                raise ValueError(f"{name} has {len(pattern)} entries, want one for each of depth={self.depth} layers")
        if any(window is not None and window < 1 for window in self.windows):
            raise ValueError(f"windows={self.windows}: want at least 1 position, the own one")
        return self

    @model_validator(mode="after")
    def _experts_fit(self) -> Self:
        if not self.experts:
            return self
        if not 1 <= self.experts_per_token <= self.experts:
            raise ValueError(f"experts_per_token={self.experts_per_token}; want 1 to experts={self.experts}")
        if not self.expert_width:
            raise ValueError("expert_width=0; want the width of one expert")
        if self.shared_gate and not self.shared_width:
            raise ValueError("shared_gate=True goes with a shared expert; set shared_width")
        return self

    @model_validator(mode="after")
    def _norms_fit(self) -> Self:
        if self.norm_bias and self.norm == "rms":
            raise ValueError("norm_bias=True goes with norm: layer; an RMS norm has no bias")
        if not self.first_norm and self.norm_at != "pre":
            raise ValueError(f"first_norm=False goes with norm_at: pre, got norm_at: {self.norm_at}")
        return self

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        if self.pooler == "none" and (self.classes or self.pooler_dense):
            raise ValueError(
                f"classes={self.classes}, pooler_dense={self.pooler_dense}: nothing stands for a sequence; set pooler: first"
            )
        return self

    def view(self, layer: int) -> View:
        """How a layer sees positions."""
        window = self.windows[layer] if self.windows else None
        if window is not None and self.local_theta is not None:
            return View(window, self.local_theta, None)
        return View(window, self.rope_theta, self.rope_scaling)

    def has_experts(self, layer: int) -> bool:
        """Whether a layer's feed-forward is chosen among experts."""
        return bool(self.experts) and (not self.expert_layers or self.expert_layers[layer])

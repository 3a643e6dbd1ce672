"""infer/gauge: how fast a model decodes here: tokens a second by number of streams, its share of the memory's speed, memory.

Every stream gets a prompt of random ids of its own and says as many tokens as asked, greedily and with their log-probabilities:
the engine as users have it, nothing left out. Prompts differ from round to round, so that no block is found instead of
computed. The first round is never counted. Says nothing about how good the answers are.
"""

import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
from pydantic import ValidationError

from whorl.core.errors import ConfigError, UsageError
from whorl.core.recipe_faults import dotted, faults
from whorl.core.seed import Seed
from whorl.infer.engine import Engine
from whorl.infer.request import Generated, Request, Sampling
from whorl.infer.roof import Roof, measured_roof
from whorl.infer.setup import Setup, Weights
from whorl.infer.store import bytes_per_token
from whorl.model.checkpoint import load, load_config
from whorl.model.config import ModelConfig
from whorl.model.families import Family
from whorl.model.packed import packed_bytes
from whorl.model.parallel import DTypeName, pick_device, pick_dtype, torch_dtype
from whorl.model.transformer import Transformer

__all__ = ["Load", "Pace", "Timed", "gauged", "paces", "step_bytes", "timed"]

_VOCABULARY = 32_768  # of a model that is a shape only


@dataclass(frozen=True)
class Load:
    """What a model is asked while it is watched."""

    streams: tuple[int, ...] = (1, 4, 8)  # answers under way at once, one figure each
    prompt: int = 128  # tokens of a prompt
    answer: int = 64  # tokens of an answer
    rounds: int = 3  # of which the median counts

    @classmethod
    def fitted(cls, streams: Sequence[int], prompt: int | None, answer: int | None, *, room: int) -> Self:
        """The load as asked for; lengths left open are the defaults, or less in a context of fewer tokens.

        Raises UsageError for one that does not fit, or that measures nothing.
        """
        answer = min(cls.answer, max(2, room // 2)) if answer is None else answer
        prompt = min(cls.prompt, max(1, room - answer)) if prompt is None else prompt
        if not streams or min(streams) < 1 or prompt < 1 or answer < 2:
            raise UsageError(
                f"streams={tuple(streams)}, prompt={prompt}, answer={answer}: want one stream or more, a prompt of at least 1 "
                "token and an answer of at least 2, because the first one comes with the prompt"
            )
        if prompt + answer > room:
            raise UsageError(f"prompt={prompt} and answer={answer} tokens; the model's context is {room}; shorten one")
        return cls(tuple(streams), prompt, answer)


class Timed(NamedTuple):
    """What some requests got, and when. Seconds of a wall clock."""

    answers: list[Generated]
    first_s: float  # until each of them had its first token
    decode_s: float  # from then to the last token
    num_decoded: int  # tokens said in that time

    @property
    def total_s(self) -> float:
        """From asking to the last token."""
        return self.first_s + self.decode_s


class Pace(NamedTuple):
    """The speed with so many streams; medians over rounds."""

    streams: int
    tokens_per_s: float  # of all streams together, after the first token of each
    spread: tuple[float, float]  # the slowest and the fastest round
    step_s: float  # between two tokens of a stream
    first_token_s: float  # until every stream has its first token
    prefill_tokens_per_s: float
    bytes_per_s: float | None  # weights and cache read; None where the weights that a step reads are not known
    mbu: float | None  # share of the roof


def gauged(what: Path | Mapping[str, Any], *, weights: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint folder, or a random model of a family's dials (and `vocabulary`), measured; plain values.

    `weights`: fp32, bf16, int8, int4, or auto for what this processor is best at. `asked`: streams, and prompt and answer in
    tokens, or None. Raises ConfigError for dials that mean nothing, DataError for a folder that is no checkpoint, UsageError
    for a load that does not fit.
    """
    device = pick_device().name
    dtype = torch_dtype(pick_dtype(cast("DTypeName", weights if weights in {"fp32", "bf16"} else "auto"), device).name)
    if isinstance(what, Path):
        member, config = load_config(what)
        carried = Load.fitted(**asked, room=config.max_positions)
        model, about = load(what, dtype=dtype, device=device).model, (what.name, member.model_type)
    else:
        carried = Load.fitted(**asked, room=sys.maxsize)
        model, about = _drawn(what, carried, dtype=dtype, device=device), ("random weights", what["use"])
    num_parameters = sum(one.numel() for one in model.parameters())
    form = cast("Weights", {"fp32": "auto"}.get(weights, weights))
    engine = Engine(model, stop_ids=(), pad_id=0, setup=Setup(rows=max(carried.streams), weights=form))
    del model  # what is packed is held once
    roof = measured_roof(engine.device, dtype, num_bytes=packed_bytes(engine.model))
    found = [pace._asdict() for pace in paces(engine, carried, roof)]
    return {
        "model": {"name": about[0], "family": about[1], "parameters": num_parameters},
        "machine": {"device": device, "threads": torch.get_num_threads(), "dtype": str(dtype).removeprefix("torch.")},
        "weights": {
            "format": weights,
            "read_bytes_per_token": packed_bytes(engine.model),
            "kept_in_bf16": list(engine.packing.fallen),  # matrices that the format does not take
        },
        "cache": {
            "bytes_per_token": bytes_per_token(engine.model.config, dtype),
            "room_bytes": engine.store.num_bytes,
        },
        "roof": roof._asdict(),
        "load": {"prompt": carried.prompt, "answer": carried.answer, "rounds": carried.rounds},
        "paces": found,
        "peak_memory_bytes": _peak_memory_bytes(engine.device),
    }


def paces(engine: Engine, load: Load, roof: Roof) -> list[Pace]:
    """The speed for each number of streams."""
    return [_pace(engine, load, streams=streams, roof=roof) for streams in load.streams]


def timed(engine: Engine, prompts: Sequence[Sequence[int]], counts: Sequence[int]) -> Timed:
    """Answer all prompts greedily, with `counts` tokens each; the engine must be idle and have no stop ids."""
    assert engine.is_idle, "who times an engine has it alone"
    begin = time.perf_counter()
    requests = [Request(prompt, Sampling(max_tokens=count)) for prompt, count in zip(prompts, counts, strict=True)]
    numbers = [engine.submit(request) for request in requests]
    silent, first, num_decoded = set(numbers), begin, 0
    while not engine.is_idle:
        told = engine.step()
        if not silent:
            num_decoded += sum(len(one.ids) for one in told)
            continue
        silent -= {one.number for one in told if one.ids}
        first = time.perf_counter()
    end = time.perf_counter()
    return Timed([engine.take(number) for number in numbers], first - begin, end - first, num_decoded)


def step_bytes(engine: Engine, *, streams: int, context: int) -> int | None:
    """Bytes that one step must read when every stream sees `context` tokens; None for experts, which streams choose apart."""
    config = engine.model.config
    if streams > 1 and config.experts:
        return None
    windows = [config.view(layer).window or context for layer in range(config.depth)]
    seen = sum(min(context, window) for window in windows) * bytes_per_token(config, engine.model.compute_dtype)
    return packed_bytes(engine.model) + streams * seen // config.depth


def _drawn(dials: Mapping[str, Any], asked: Load, *, dtype: torch.dtype, device: str) -> Transformer:
    """A random model whose context is as long as it has to be."""
    own = {name: value for name, value in dials.items() if name != "vocabulary"}
    config = _config(own, dials.get("vocabulary", _VOCABULARY), asked.prompt + asked.answer)
    model = Transformer.fresh(config, Seed(0), device=device).to(dtype)
    model.compute_dtype = dtype
    return model


def _config(dials: Mapping[str, Any], vocabulary: object, max_positions: int) -> ModelConfig:
    if not isinstance(vocabulary, int) or vocabulary < 1:
        raise UsageError(f"vocabulary={vocabulary!r}: want a number of ids, at least 1")
    try:
        return Family.model_validate(dials).configure(vocabulary, max_positions)
    except ValidationError as error:
        raise ConfigError("; ".join(f"{dotted(fault.place)}: {fault.what}" for fault in faults(dials, error))) from error


def _pace(engine: Engine, load: Load, *, streams: int, roof: Roof) -> Pace:
    counts = [load.answer] * streams
    rounds = [timed(engine, _prompts(engine, load, streams, number), counts) for number in range(load.rounds + 1)][1:]
    rates = [one.num_decoded / one.decode_s for one in rounds]
    rate, first_s = statistics.median(rates), statistics.median(one.first_s for one in rounds)
    size = step_bytes(engine, streams=streams, context=load.prompt + load.answer // 2)
    read = None if size is None else size * rate / streams
    return Pace(
        streams=streams,
        tokens_per_s=rate,
        spread=(min(rates), max(rates)),
        step_s=streams / rate,
        first_token_s=first_s,
        prefill_tokens_per_s=streams * load.prompt / first_s,
        bytes_per_s=read,
        mbu=None if read is None else read / roof.bytes_per_s,
    )


def _prompts(engine: Engine, load: Load, streams: int, number: int) -> list[list[int]]:
    draws = Seed(0).child(f"{streams} streams, round {number}").generator()
    drawn: list[list[int]] = draws.integers(0, engine.model.config.vocab_size, (streams, load.prompt)).tolist()
    return drawn


def _peak_memory_bytes(device: torch.device) -> dict[str, int]:
    """The most this process has held: resident pages, and on a GPU what torch's allocator handed out."""
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB, macOS in bytes
    held = {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    return held | ({"on the GPU": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {})

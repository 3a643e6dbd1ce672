"""bench/peer_scripts/decode_llamacpp: llama.cpp through its C interface: bfloat16 weights, a float16 cache, greedy.

Only `llama_decode` is timed: neither filling its batch nor choosing the likeliest token, both of which happen in Python here
and in compiled code elsewhere. Of flash attention and of one cache for all or one for each, the fastest on this machine is
taken, apart for one row and for several. Answers rows of equal prompts and lengths only. Runs in its own environment.
"""

import ctypes
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import llama_cpp as c  # type: ignore[import-not-found]
import numpy as np
from decode_turns import Answering, Question, Task, Told, fastest, take_turns  # type: ignore[import-not-found]

ATTENTION = {"flash attention": c.LLAMA_FLASH_ATTN_TYPE_ENABLED, "plain attention": c.LLAMA_FLASH_ATTN_TYPE_DISABLED}
CACHES = {"a cache for each": False, "one cache for all": True}


class Context:
    """A model with a cache for some rows."""

    def __init__(self, model: Any, task: Task, *, rows: int, attention: int, unified: bool) -> None:
        params = c.llama_context_default_params()
        params.n_ctx = rows * task["context"]
        params.n_batch = params.n_ubatch = rows * task["context"]
        params.n_seq_max = rows
        params.n_threads = params.n_threads_batch = task["threads"]
        params.flash_attn_type, params.kv_unified = attention, unified
        self._context = c.llama_init_from_model(model, params)
        assert self._context, "llama.cpp made no context"
        self._vocab = c.llama_vocab_n_tokens(c.llama_model_get_vocab(model))
        self._batch = c.llama_batch_init(params.n_batch, 0, 1)

    def answered(self, question: Question) -> Told:
        """All prompts side by side, in one batch; then a token of each at a time."""
        assert question.is_equal, "this arm answers equal rows"
        data = True  # not only what says where it is
        c.llama_memory_clear(c.llama_get_memory(self._context), data)
        length, count = len(question.prompts[0]), question.counts[0]
        first_s, newest = self._decode(question.prompts, 0)
        said, decode_s = [newest], 0.0
        for place in range(length, length + count - 1):
            seconds, newest = self._decode([[token] for token in newest], place)
            decode_s += seconds
            said.append(newest)
        ids = [list(row) for row in zip(*said, strict=True)]
        return Told(ids, first_s, decode_s, first_s + decode_s, question.rows * (count - 1))

    def _decode(self, pieces: Sequence[Sequence[int]], start: int) -> tuple[float, list[int]]:
        """Seconds of one call, and the likeliest token after each piece."""
        batch, ends = self._batch, []
        batch.n_tokens = sum(map(len, pieces))
        index = 0
        for row, piece in enumerate(pieces):
            for place, token in enumerate(piece, start):
                batch.token[index], batch.pos[index] = token, place
                batch.n_seq_id[index], batch.seq_id[index][0] = 1, row
                batch.logits[index] = place == start + len(piece) - 1
                index += 1
            ends.append(index - 1)
        begin = time.perf_counter()
        fault = c.llama_decode(self._context, batch)
        c.llama_synchronize(self._context)
        seconds = time.perf_counter() - begin
        assert fault == 0, f"llama_decode says {fault}"
        return seconds, [int(np.argmax(self._logits(end))) for end in ends]

    def _logits(self, index: int) -> np.ndarray:
        pointer = c.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, shape=(self._vocab,))


def build(task: Task) -> tuple[Answering, Mapping[str, Any]]:
    """The model, with a context for each number of rows."""
    _silence()
    params = c.llama_model_default_params()
    params.n_gpu_layers = 0
    model = c.llama_model_load_from_file(task["gguf"].encode(), params)
    assert model, f"llama.cpp does not load {task['gguf']}"
    chosen, settings = {}, {}
    for trial in (Question(**one) for one in task["trials"]):
        ways = {
            ", ".join(names): Context(model, task, rows=trial.rows, attention=ATTENTION[names[0]], unified=CACHES[names[1]])
            for names in product(ATTENTION, CACHES)
        }
        settings[trial.rows] = fastest({name: context.answered for name, context in ways.items()}, trial)
        chosen[trial.rows] = ways[settings[trial.rows]]
    built = c.llama_print_system_info().decode()
    return partial(_answered, chosen), {"version": c.__version__, "settings": settings, "built": built}


def _answered(chosen: Mapping[int, Context], question: Question) -> Told:
    return chosen[question.rows].answered(question)


@c.llama_log_callback  # type: ignore[untyped-decorator]
def _say_nothing(level: int, text: bytes, data: ctypes.c_void_p) -> None:
    del level, text, data


def _silence() -> None:
    c.llama_log_set(_say_nothing, ctypes.c_void_p(0))


if __name__ == "__main__":
    take_turns(build)

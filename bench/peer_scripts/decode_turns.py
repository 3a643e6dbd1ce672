"""bench/peer_scripts/decode_turns: the parent's side of the pipe, for every arm of bench.decode.

An arm is a process that answers some prompts when it is told to and waits on a pipe otherwise: arms take turns on the same
cores. The first line it reads is its task, every later one a question: prompts, how many tokens to say to each, and how many
are under way at once; each is answered with one line. Imports nothing but the standard library: it runs in the environments
of the peers too.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Task = dict[str, Any]


class Question(NamedTuple):
    """What an arm is asked. Nothing stops early: every prompt gets as many tokens as it says."""

    prompts: list[list[int]]
    counts: list[int]  # tokens to say to each
    rows: int  # answered at once

    @property
    def is_equal(self) -> bool:
        """Whether all are answered at once, from prompts of one length, with as many tokens each."""
        return len(self.prompts) == self.rows and len(set(self.counts)) == 1 and len(set(map(len, self.prompts))) == 1


class Told(NamedTuple):
    """What an arm did. Seconds of a wall clock."""

    ids: list[list[int]]
    first_s: float  # until every row had its first token: the prompts, and one choice each
    decode_s: float  # after that, until the last token
    total_s: float
    num_decoded: int  # tokens said during decode_s


Answering = Callable[[Question], Told]


def take_turns(build: Callable[[Task], tuple[Answering, Mapping[str, Any]]]) -> None:
    """Read the task, build, say what was built, answer questions until the parent closes the pipe."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to standard error
    answering, facts = build(json.loads(sys.stdin.readline()))
    _say(answers, {"ready": True, **facts})
    waited = time.process_time()
    for line in sys.stdin:
        waiting_s = time.process_time() - waited
        told = answering(Question(**json.loads(line)))
        _say(answers, {**told._asdict(), "cpu_s_waiting": waiting_s})
        waited = time.process_time()


def fastest(candidates: Mapping[str, Answering], question: Question, *, rounds: int = 3) -> str:
    """The setting that decodes soonest, each once unmeasured and then in turns: peers are shown at their best."""
    best = dict.fromkeys(candidates, float("inf"))
    for answering in candidates.values():
        answering(question)
    for _ in range(rounds):
        for name, answering in candidates.items():
            best[name] = min(best[name], answering(question).decode_s)
    return min(best, key=lambda name: best[name])


def _say(answers: Any, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()

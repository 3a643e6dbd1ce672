"""What goes wrong with one request stays with it: aborts at any moment, logits that are no numbers, memory that is missing."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from whorl.infer.draft import PromptLookup
from whorl.infer.engine import Engine, Request, Sampling, Setup
from whorl.infer.pays import StepCosts

FREE = StepCosts((1, 17), (1.0, 1.0))
GREEDY = Sampling(max_tokens=12)
HOT = Sampling(max_tokens=12, temperature=1.0, seed=3)
TIGHT = Setup(rows=5, step_tokens=9, block_size=4, cache_tokens=72)  # preempts, and reads prompts in pieces
STOP_IDS = {1, 4, 5}
SHORTAGES = {
    "python": MemoryError("no room"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
}


def engine_of(model, setup=TIGHT, **rest):
    return Engine(model, stop_ids=STOP_IDS, pad_id=2, setup=setup, open_drafter=PromptLookup, costs=FREE, **rest)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def moment(engine, number):
    """What a request is doing."""
    running = engine._live[number].running
    if running in engine.scheduler.running:
        return "decoding" if running.is_decoding else "reading"
    return "preempted" if running.num_preemptions else "waiting"


def drained(engine):
    """How everybody that was asked for ended, once everybody has; blocks are checked at every step."""
    while not engine.is_idle:
        engine.step()
        engine.check()
    assert engine.pool.num_held == 0


def test_a_thousand_aborts_at_any_moment_leak_nothing_and_change_nobody(model, prompts):
    wanted = [one.ids for one in engine_of(model, Setup(rows=12)).generate(prompts, GREEDY)]
    engine, rng, moments = engine_of(model, TIGHT.model_copy(update={"cache_tokens": 52})), np.random.default_rng(0), Counter()
    open_numbers, num_finished, before = {}, 0, 0
    while moments.total() < 1000:
        while len(open_numbers) < 12:
            place = int(rng.integers(len(prompts)))
            number = engine.submit(Request(prompts[place], GREEDY, priority=int(rng.integers(3))))
            open_numbers[number] = place
        for number in [one for one in open_numbers if rng.random() < (0.5 if moment(engine, one) == "preempted" else 0.08)]:
            moments[moment(engine, number)] += 1
            engine.abort(number)
            if rng.random() < 0.1:
                engine.abort(number)  # twice
        for told in engine.step():
            if told.finish is None:
                continue
            found = engine.take(told.number)
            place = open_numbers.pop(told.number)
            assert found.ids == wanted[place][: len(found.ids)]
            assert found.finish == "aborted" or found.ids == wanted[place]
            num_finished += found.finish != "aborted"
            engine.abort(told.number)  # too late: nothing happens
        engine.check()
        before = before or (resident_bytes() if moments.total() >= 300 else 0)
    assert min(moments[name] for name in ("waiting", "reading", "decoding", "preempted")) >= 20, moments
    assert num_finished >= 100
    drained(engine)
    assert not engine._live
    grown = resident_bytes() - before
    assert grown < 8 * 2**20, f"{grown / 2**20:.1f} MiB more after 700 aborts"


def test_an_aborted_request_keeps_what_it_said(model, prompts):
    engine = engine_of(model)
    wanted = engine.generate([prompts[1]], GREEDY)[0]
    number = engine.submit(Request(prompts[1], GREEDY))
    said = 0
    while said < 2:
        said += sum(len(told.ids) for told in engine.step())
    engine.abort(number)
    (told,) = engine.step()
    assert (told.number, told.ids, told.finish) == (number, (), "aborted")
    assert engine.take(number).ids == wanted.ids[:said]
    assert engine.is_idle


@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "hot"])
@pytest.mark.parametrize("step", range(0, 12, 2))
def test_a_row_of_logits_that_are_no_numbers_ends_one_request(model, prompts, sampling, step):
    wanted = engine_of(model).generate(prompts, sampling)
    engine, rows = engine_of(model), []
    logits_of = engine.forward.logits

    def spoiled(hidden):
        logits = logits_of(hidden)
        if len(rows) == step:
            logits[len(logits) // 2] = float("nan")
        rows.append(len(logits))
        return logits

    engine.forward.logits = spoiled
    found = engine.generate(prompts, sampling)
    hurt = [place for place, one in enumerate(found) if one.finish == "error"]
    assert len(hurt) <= 1  # a guess that was wrong anyway may have stood there
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert one.ids == (other.ids[: len(one.ids)] if place in hurt else other.ids)
    for place in hurt:
        assert found[place].error == f"the model's logits are not finite after {len(found[place].ids)} tokens"
    engine.check()
    assert engine.pool.num_held == 0


@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "hot"])
def test_a_poisoned_request_hurts_neither_its_neighbours_nor_those_who_get_its_blocks(model, prompts, sampling):
    prompts = prompts[:6]
    wanted = engine_of(model).generate(prompts, sampling)
    said = {token for place, one in enumerate(wanted) for token in (*prompts[place], *one.ids)}
    poison = next(token for token in range(61) if token not in said | STOP_IDS | {9, 10, 11, 12, 13})
    model.embed.weight.data[poison] = float("nan")
    engine = engine_of(model)
    for _ in range(2):  # the second time every block has held what is no number
        mixed = [one for prompt in prompts for one in (prompt, [9, 10, 11, 12, poison, 13])]
        seeds = [seed for place in range(len(prompts)) for seed in (place, place)]
        clean = engine_of(model).generate(prompts, sampling, seeds=seeds[::2])
        found = engine.generate(mixed, sampling, seeds=seeds)
        assert [one.ids for one in found[::2]] == [one.ids for one in clean]
        assert {(one.finish, one.ids) for one in found[1::2]} == {("error", ())}
        engine.check()


def test_a_guess_whose_logits_are_no_numbers_hurts_nobody_if_it_is_wrong(model, prompts):
    """The model has never learnt one of its ids: who says it is lost, who is only thought to say it is not."""
    prompts = prompts[:6]
    wanted = engine_of(model).generate(prompts, GREEDY)
    said = {token for place, one in enumerate(wanted) for token in (*prompts[place], *one.ids)}
    poison = next(token for token in range(61) if token not in said | STOP_IDS)
    model.embed.weight.data[poison] = float("nan")

    class Spiteful(PromptLookup):
        def propose(self, tokens, limit):
            return [poison] * limit

    engine = Engine(model, stop_ids=STOP_IDS, pad_id=2, setup=TIGHT, open_drafter=Spiteful, costs=FREE)
    found = engine.generate(prompts, GREEDY)
    assert [one.ids for one in found] == [one.ids for one in wanted]
    assert sum(one.num_drafted for one in found) > 0


@pytest.mark.parametrize("after", [0, 1])
def test_what_was_computed_wrong_once_is_never_found_again(model, after):
    """A fault of a moment, in a piece of the prompt: neither the same request later nor one beside it may read its keys."""
    prompt = list(range(9, 31))
    wanted = engine_of(model).generate([prompt], GREEDY)[0].ids
    engine, calls = engine_of(model), []

    def spoil(module, given, out):
        calls.append(len(calls))
        return out + float("nan") if len(calls) == after + 1 else out

    handle = engine.model.embed.register_forward_hook(spoil)
    first = engine.submit(Request(prompt, GREEDY))
    for _ in range(after + 1):
        engine.step()
    beside = engine.submit(Request(prompt, GREEDY))
    (ended, other) = engine.finish([first, beside])
    handle.remove()
    assert ended.finish == "error"
    assert "not finite" in ended.error
    assert other.ids == wanted
    assert engine.generate([prompt], GREEDY)[0].ids == wanted


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_request_there_is_no_memory_for_ends_alone(model, prompts, shortage):
    wanted = engine_of(model).generate(prompts, GREEDY)
    engine = engine_of(model)
    run, longest = engine.forward.run, prompts[8]

    def short(pieces):
        if any(
            list(piece.ids[:3]) == longest[: len(piece.ids)][:3] and piece.start == 0 and len(piece.ids) > 2 for piece in pieces
        ):
            raise SHORTAGES[shortage]
        return run(pieces)

    engine.forward.run = short
    found = engine.generate(prompts, GREEDY)
    assert found[8].finish == "error"
    assert "out of memory" in found[8].error
    assert [one.ids for one in found[:8] + found[9:]] == [one.ids for one in wanted[:8] + wanted[9:]]
    engine.check()
    assert engine.pool.num_held == 0


@pytest.mark.parametrize("where", ["run", "logits"])
@pytest.mark.parametrize("step", [0, 1, 4, 7])
def test_memory_that_is_short_for_a_moment_ends_nobody_who_shares_a_step(model, prompts, where, step):
    wanted = engine_of(model).generate(prompts, HOT)
    engine, calls = engine_of(model), []
    real = getattr(engine.forward, where)

    def short(given):
        calls.append(len(given))
        if len(calls) == step + 1:
            raise MemoryError("no room for all at once")
        return real(given)

    setattr(engine.forward, where, short)
    found = engine.generate(prompts, HOT)
    assert [one.ids for one in found] == [one.ids for one in wanted]
    engine.check()


def test_any_other_fault_is_ours_and_is_not_swallowed(model, prompts):
    engine = engine_of(model)

    def broken(pieces):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    engine.forward.run = broken
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        engine.generate(prompts[:2], GREEDY)

"""Which tokens a step computes, by example; in any order of events: test_scheduler_machine."""

from whorl.infer.pool import BlockPool
from whorl.infer.scheduler import Limits, Running, Scheduler


def scheduler(*, blocks=8, size=2, rows=3, tokens=6):
    return Scheduler(BlockPool(blocks, size), Limits(rows, tokens))


def request(number, prompt, *, max_tokens=4, **rest):
    return Running(number, list(prompt), len(prompt), max_tokens, **rest)


def step(of, token=9):
    """Compute what is planned; who is complete says `token`. The plan as (number, start, end)."""
    chunks = of.plan()
    for chunk in chunks:
        of.computed(chunk)
        if chunk.completes:
            of.said(chunk.request, token)
    of.check()
    return [(chunk.request.number, chunk.start, chunk.end) for chunk in chunks]


def test_a_long_prompt_is_read_in_pieces_while_the_others_go_on_decoding():
    one = scheduler(blocks=16)
    one.submit(request(0, [1]))
    assert step(one) == [(0, 0, 1)]
    one.submit(request(1, range(10, 20)))
    assert step(one) == [(0, 1, 2), (1, 0, 5)]
    assert step(one) == [(0, 2, 3), (1, 5, 10)]
    assert step(one) == [(0, 3, 4), (1, 10, 11)]


def test_a_known_beginning_is_not_computed_again_but_the_last_token_always_is():
    one = scheduler()
    one.submit(request(0, [1, 2, 3, 4]))
    assert step(one) == [(0, 0, 4)]
    one.submit(request(1, [1, 2, 3, 4]))
    one.submit(request(2, [1, 2, 7]))
    assert step(one) == [(0, 4, 5), (1, 2, 4), (2, 2, 3)]


def test_tenants_of_other_salts_share_nothing():
    one = scheduler()
    one.submit(request(0, [1, 2, 3], salt=b"a"))
    step(one)
    one.submit(request(1, [1, 2, 3], salt=b"b"))
    assert step(one)[1] == (1, 0, 3)


def test_the_request_that_matters_least_gives_its_blocks_to_the_others():
    one = scheduler(blocks=4)
    first, last = request(0, [1, 2, 3, 4], max_tokens=4), request(1, [5, 6, 7], max_tokens=5)
    one.submit(first)
    one.submit(last)
    assert step(one) == [(0, 0, 4), (1, 0, 2)]
    assert step(one) == [(0, 4, 5)]
    assert (last.num_preemptions, last.blocks, one.waiting) == (1, [], [last])
    one.drop(first)
    assert step(one)[0][0] == 1


def test_priority_goes_before_arrival():
    one = scheduler(rows=1)
    one.submit(request(0, [1], priority=1))
    one.submit(request(1, [2], priority=0))
    assert step(one) == [(1, 0, 1)]


def test_after_new_weights_nothing_is_found_and_everything_is_computed_again():
    one = scheduler()
    one.submit(request(0, [1, 2, 3, 4]))
    step(one)
    one.restart()
    assert one.pool.num_named == 0
    assert step(one) == [(0, 0, 5)]


def test_who_is_dropped_while_waiting_is_never_let_in_and_nobody_behind_is_passed_over():
    one = scheduler(rows=1)
    queued = [request(number, [number]) for number in range(4)]
    for each in queued:
        one.submit(each)
    step(one)
    one.drop(queued[1])
    one.drop(queued[1])  # once more: nothing happens
    one.drop(queued[0])
    assert (one.waiting, one.is_idle) == (queued[2:], False)
    assert step(one) == [(2, 0, 1)]
    one.drop(queued[3])
    one.drop(queued[2])
    assert one.is_idle
    assert step(one) == []


def test_only_passed_deadlines_expire_running_or_waiting():
    one = scheduler(rows=1)
    one.submit(request(0, [1], deadline=5.0))
    one.submit(request(1, [1], deadline=7.0))
    one.submit(request(2, [1]))
    step(one)
    assert [late.number for late in one.expired(5.0)] == [0]
    assert [late.number for late in one.expired(9.0)] == [0, 1]

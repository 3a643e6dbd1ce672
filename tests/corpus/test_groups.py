import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.groups import KnownParts, components, draw_parts, representatives

TRAIN, HELD_OUT, EXAM = 0, 1, 2
NOTHING = KnownParts.of(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))


def pairs(*links):
    return np.array(links, dtype=np.int64).reshape(-1, 2)


def keys(*numbers):
    return np.array(numbers, dtype=np.uint64)


def reached(count, links):
    """Components by walking, the slow way."""
    labels = list(range(count))
    for _ in range(count):
        for a, b in links:
            labels[a] = labels[b] = min(labels[a], labels[b])
    return labels


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=15)))
)
def test_components_are_what_walking_along_links_finds(case):
    count, links = case
    assert components(count, pairs(*links)).tolist() == reached(count, links)


def test_a_long_chain_is_one_component():
    assert not components(10_000, np.stack([np.arange(9_999), np.arange(1, 10_000)], 1)).any()


def test_the_longest_stands_for_a_component_then_the_smallest_key():
    labels = np.array([0, 0, 2, 2, 4])
    best = representatives(labels, [np.array([5, 9, 7, 7, 1])], keys(1, 2, 8, 3, 9)).first
    assert best.tolist() == [1, 1, 3, 3, 4]


def test_a_component_has_one_part_drawn_from_its_smallest_key():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, 200, dtype=np.uint64)
    labels = np.arange(200)
    alone = draw_parts(labels, hashes, (0.6, 0.2, 0.2), NOTHING)
    order = np.argsort(hashes)
    linked = labels.copy()
    linked[order[1]] = linked[order[0]] = min(order[:2])
    together = draw_parts(linked, hashes, (0.6, 0.2, 0.2), NOTHING)
    assert together[order[0]] == together[order[1]] == alone[order[0]]
    assert (np.delete(together, order[1]) == np.delete(alone, order[1])).all()


def test_shares_are_met_over_many_groups_and_zero_means_never():
    hashes = np.random.default_rng(2).integers(0, 2**63, 20_000, dtype=np.uint64)
    parts = draw_parts(np.arange(20_000), hashes, (0.94, 0.03, 0.03), NOTHING)
    counts = np.bincount(parts, minlength=3) / 20_000
    assert abs(counts - [0.94, 0.03, 0.03]).max() < 0.005  # over four standard errors of a 3 % share
    assert set(draw_parts(np.arange(20_000), hashes, (1.0, 0.0, 0.0), NOTHING)) == {TRAIN}
    assert set(draw_parts(np.arange(20_000), hashes, (0.0, 0.5, 0.5), NOTHING)) == {HELD_OUT, EXAM}


def test_a_known_key_keeps_its_part_and_the_strictest_wins():
    known = KnownParts.of(keys(10, 20, 30, 20), np.array([TRAIN, HELD_OUT, EXAM, EXAM]))
    labels = np.array([0, 0, 2, 3])
    parts = draw_parts(labels, keys(10, 20, 10, 30), (0.0, 1.0, 0.0), known)
    assert parts.tolist() == [EXAM, EXAM, TRAIN, EXAM]
    assert known.look_up(keys(5, 20, 99)).tolist() == [-1, EXAM, -1]

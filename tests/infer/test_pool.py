"""Who owns which block: one place for each, found again only by equal tokens after equal tokens."""

import pytest

from whorl.infer.pool import ROOT, BlockPool, block_name


def named(pool, tokens, *, parent=ROOT, salt=b"-"):
    """A block that holds these tokens, held once, and its name."""
    number, name = pool.take(), block_name(parent, tokens, salt=salt)
    pool.name(number, name, parent=parent, tokens=tokens)
    return number, name


def test_a_block_can_be_found_by_its_tokens_until_it_is_taken():
    pool = BlockPool(num_blocks=2, block_size=2)
    number, name = named(pool, (5, 6))
    pool.release([number])
    assert pool.num_available == 2
    assert pool.find(name, parent=ROOT, tokens=(5, 6)) == number
    pool.release([number])
    assert [pool.take(), pool.take(), pool.take()] == [1, number, None]
    assert pool.find(name, parent=ROOT, tokens=(5, 6)) is None
    pool.check()


def test_tokens_are_compared_when_a_name_is_found():
    pool = BlockPool(num_blocks=2, block_size=2)
    _, name = named(pool, (5, 6))
    assert pool.find(name, parent=ROOT, tokens=(5, 7)) is None
    assert pool.find(name, parent=b"other beginning", tokens=(5, 6)) is None


def test_equal_tokens_after_other_tokens_or_for_another_tenant_have_another_name():
    first = block_name(ROOT, (5, 6), salt=b"a")
    assert block_name(first, (5, 6), salt=b"a") != first
    assert block_name(ROOT, (5, 6), salt=b"b") != first
    assert block_name(ROOT, (56,), salt=b"a") != first


def test_a_shared_block_is_available_only_after_its_last_holder():
    pool = BlockPool(num_blocks=1, block_size=2)
    number, name = named(pool, (5, 6))
    assert pool.find(name, parent=ROOT, tokens=(5, 6)) == number
    pool.release([number])
    assert pool.take() is None
    pool.release([number])
    assert pool.take() == number


def test_the_end_of_a_chain_is_taken_before_its_beginning():
    pool = BlockPool(num_blocks=2, block_size=2)
    first, name = named(pool, (1, 2))
    second, _ = named(pool, (3, 4), parent=name)
    pool.release([first, second])
    assert pool.take() == second


def test_forgetting_frees_what_is_idle_and_unnames_what_is_held():
    pool = BlockPool(num_blocks=2, block_size=2)
    held, held_name = named(pool, (1, 2))
    idle, _ = named(pool, (3, 4))
    pool.release([idle])
    pool.forget()
    assert (pool.num_named, pool.num_available) == (0, 1)
    assert pool.find(held_name, parent=ROOT, tokens=(1, 2)) is None
    pool.release([held])
    pool.check()
    assert pool.num_available == 2


def test_a_beginning_is_held_as_far_as_it_is_known_and_named_as_far_as_it_is_full():
    pool, tokens = BlockPool(num_blocks=6, block_size=2), [1, 2, 3, 4, 5]
    blocks, names = [pool.take() for _ in range(3)], []
    pool.name_full(tokens, blocks, names=names, end=3, salt=b"a")
    assert len(names) == pool.num_named == 1
    pool.name_full(tokens, blocks, names=names, end=5, salt=b"a")
    assert names == [first := block_name(ROOT, [1, 2], salt=b"a"), block_name(first, [3, 4], salt=b"a")]
    assert pool.hold_known([1, 2, 3, 4, 9], end=5, salt=b"a") == (blocks[:2], names)
    assert pool.hold_known([1, 2, 3, 4], end=3, salt=b"a") == (blocks[:1], names[:1])
    assert pool.hold_known([1, 2, 9, 4], end=4, salt=b"a") == (blocks[:1], names[:1])
    assert pool.hold_known([9, 2, 3, 4], end=4, salt=b"a") == pool.hold_known(tokens, end=5, salt=b"b") == ([], [])
    for held in (blocks, blocks[:2], blocks[:1], blocks[:1]):
        pool.release(held)
    pool.check_holders([])
    assert pool.num_available == 6


def test_a_block_that_nobody_knows_to_be_held_is_an_error_of_ours():
    pool = BlockPool(num_blocks=2, block_size=2)
    held = [pool.take(), pool.take()]
    pool.check_holders([held[:1], held])
    with pytest.raises(AssertionError, match="2 blocks are held, requests know of 1"):
        pool.check_holders([held[:1]])


def test_releasing_a_block_too_often_is_an_error_of_ours():
    pool = BlockPool(num_blocks=1, block_size=2)
    number = pool.take()
    pool.release([number])
    with pytest.raises(AssertionError, match="more often than held"):
        pool.release([number])

import lzma
import random

from whorl.evals.baselines import Baseline

XZ = Baseline.model_validate({"use": "xz"})


def test_text_seen_before_costs_next_to_nothing():
    rng = random.Random(0)
    text = rng.randbytes(4000)
    assert XZ.cost([b"other"], [text]).total_bits >= 8 * 4000
    assert XZ.cost([text], [text]).total_bits < 0.05 * 8 * len(text)


def test_the_dictionary_reaches_back_over_everything():
    rng = random.Random(1)
    first, filler = rng.randbytes(2000), rng.randbytes(1_500_000)  # further back than the smallest dictionary, 1 MiB
    assert XZ.cost([first, filler], [first]).total_bits < 0.6 * 8 * len(first)


def test_the_cost_is_the_difference_of_two_archives():
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20}]
    sizes = [len(lzma.compress(text, lzma.FORMAT_RAW, filters=chain)) for text in (b"abc abd\n\n", b"abc abd\n\nabd abe\n\nz")]
    cost = XZ.cost([b"abc abd"], [b"abd abe", b"z"])
    assert cost.total_bits == 8 * (sizes[1] - sizes[0])
    assert cost.document_bits is None

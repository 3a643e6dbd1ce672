from whorl.evals.baselines import Baseline


def test_eight_bits_for_every_byte():
    cost = Baseline.model_validate({"use": "uniform"}).cost([b"seen"], [b"ab", b"\xc3\xa9t"])
    assert cost.total_bits == 40.0
    assert cost.document_bits.tolist() == [16.0, 24.0]

from whorl.measure.metrics import Metric


def exact_match(answer, *references):
    return Metric.model_validate({"use": "exact_match"}).score(answer, references)


def test_outer_white_space_does_not_count_and_everything_else_does():
    assert exact_match(" t a c\n", "t a c") == 1.0
    assert exact_match("t a  c", "t a c") == 0.0
    assert exact_match("T a c", "t a c") == 0.0


def test_any_reference_will_do():
    assert exact_match("four", "4", "four") == 1.0


def test_a_prefix_and_a_longer_answer_are_wrong():
    assert exact_match("t a", "t a c") == 0.0
    assert exact_match("t a c k", "t a c") == 0.0

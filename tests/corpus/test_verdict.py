import numpy as np

from whorl.corpus.verdict import Rule, judged_by


def test_a_document_is_dropped_for_the_first_rule_it_breaks():
    rules = [Rule("low", np.array([1.0, 5.0, 1.0]), at_least=2), Rule("high", np.array([9.0, 9.0, 0.0]), at_most=3)]
    verdict = judged_by(rules, 3)
    assert verdict.codes.tolist() == [1, 2, 1]
    assert [verdict.reason(i) for i in range(3)] == ["low", "high", "low"]
    assert verdict.detail(1) == "9, want at most 3"


def test_an_undefined_figure_breaks_a_rule():
    assert judged_by([Rule("odd", np.array([np.nan, 1.0]), at_least=0)], 2).codes.tolist() == [1, 0]


def test_no_rules_keep_everything():
    assert judged_by([], 2).is_kept.tolist() == [True, True]

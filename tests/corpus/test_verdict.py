import numpy as np
import pyarrow as pa

from whorl.corpus.verdict import Choice, Rule, judged, numbers, ratio


def test_a_document_is_dropped_for_the_first_rule_it_breaks_and_every_broken_one_is_told():
    rules = [
        ("words", Rule("low", np.array([1.0, 5.0, 1.0, 3.0]), at_least=2)),
        ("lines", Rule("high", np.array([9.0, 9.0, 0.0, 0.0]), at_most=3)),
    ]
    found = judged(rules, 4)
    assert found.is_kept.tolist() == [False, False, False, True]
    assert found.step.to_pylist() == ["words", "lines", "words", None]
    assert found.reason.to_pylist() == ["low", "high", "low", None]
    assert found.detail.to_pylist() == ["1, want at least 2", "9, want at most 3", "1, want at least 2", None]
    assert found.broken.to_pylist() == [["words.low", "lines.high"], ["lines.high"], ["words.low"], []]


def test_an_undefined_figure_breaks_a_rule():
    found = judged([("x", Rule("odd", np.array([np.nan, 1.0]), at_least=0))], 2)
    assert found.is_kept.tolist() == [False, True]


def test_no_rules_keep_everything():
    found = judged([], 2)
    assert found.is_kept.tolist() == [True, True]
    assert found.broken.to_pylist() == [[], []]


def test_a_choice_holds_names_against_lists_and_says_what_to_do_without_a_name():
    names = pa.array(["en", "de", None])
    only = judged([("language", Choice("other_language", names, allowed=frozenset({"en"})))], 3)
    assert only.is_kept.tolist() == [True, False, True]
    assert only.detail[1].as_py() == "de, want one of en"
    strict = judged([("language", Choice("other_language", names, denied=frozenset({"en"}), is_null_allowed=False))], 3)
    assert strict.is_kept.tolist() == [False, True, False]
    assert strict.detail[2].as_py() == "not known, want none of en"


def test_figures_are_numbers_whether_they_come_from_a_kernel_or_from_a_ledger():
    kernel = {"hits": np.array([3, 0]), "words": np.array([4, 0])}
    ledger = {"hits": pa.array([3, None]), "words": pa.array([4, 0])}
    assert numbers(kernel, "hits").tolist() == [3.0, 0.0]
    assert np.isnan(numbers(ledger, "hits")[1])
    assert ratio(kernel, "hits", "words").tolist() == [0.75, 0.0]

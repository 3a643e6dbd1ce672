import pyarrow as pa

from whorl.corpus.edits import Edit


def edited(texts, **options):
    return Edit.model_validate({"use": "c4_lines", **options}).apply(pa.array(texts, pa.large_string()))


def test_lines_that_are_no_running_text_go_and_each_is_a_span():
    page = "Home\n\nThe keeper walked on.\nAbout us\nPlease enable JavaScript now.\nWe use cookies here too.\nHe came back!"
    found = edited([page])
    assert found.texts.to_pylist() == ["The keeper walked on.\nHe came back!"]
    assert found.num_spans.tolist() == [5]


def test_citation_marks_go_also_those_that_taking_one_out_makes():
    found = edited(["He was born in May[1] and left[citation needed].", "It was [[2]] so[edit] in the end."])
    assert found.texts.to_pylist() == ["He was born in May and left.", "It was  so in the end."]
    assert found.num_spans.tolist() == [2, 3]


def test_running_text_stays_as_it_is():
    text = 'He said: "We go home."\nWas it so? It was!'
    found = edited([text, ""])
    assert found.texts.to_pylist() == [text, ""]
    assert found.num_spans.tolist() == [0, 0]


def test_rules_can_be_relaxed():
    page = "Two words.\nPlease enable JavaScript now.\nWe use cookies here too[1]."
    found = edited([page], lines={"min_words": 2, "javascript": True, "policy": True, "citations": True})
    assert found.texts.to_pylist() == [page]

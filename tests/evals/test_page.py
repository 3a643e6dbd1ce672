import copy
import re
from html.parser import HTMLParser

from whorl.evals.page import page as ordered_page

REPORT = {
    "models": [
        {"name": name, "family": "llama", "parameters": 2531840, "depth": 6, "width": 128, "vocabulary": 2048, "dtype": "fp32"}
        for name in ("base", "chat")
    ],
    "suites": [
        {
            "use": "bits_per_byte",
            "title": "Bits per byte on exam documents",
            "definition": "What it is.",
            "facts": {"part": "exam", "documents": 321, "bytes": 81234},
            "figures": [
                {"of": "chat", "kind": "model", "value": 1.627, "unit": "bits per byte", "n": 321, "n_unit": "documents",
                 "interval": [1.57, 1.69], "how": "window of 128 tokens"},
                {"of": "xz", "kind": "baseline", "value": 1.81, "unit": "bits per byte", "n": 321, "n_unit": "documents",
                 "interval": "not measured", "how": "conditional"},
            ],
        }
    ],
    "skills": [
        {
            "use": "reverse", "title": "reverse the letters of a word", "is_recall": False, "unit": "share", "n": 300,
            "n_unit": "questions", "num_operands": 275, "majority": {"answer": "o w e", "value": 0.01},
            "results": [
                {"of": "base", "value": 0.0, "interval": [0.0, 0.0126], "is_learnt": False, "num_empty": 0, "num_cut_off": 300,
                 "right": [], "wrong": [{"asked": "Reverse: a b", "answered": "<script>alert(1)</script>", "wanted": "b a"}]},
                {"of": "chat", "value": 0.98, "interval": [0.957, 0.991], "is_learnt": True, "num_empty": 0, "num_cut_off": 0,
                 "right": [{"asked": "Reverse: c d", "answered": "d c", "wanted": "d c"}], "wrong": []},
            ],
        }
    ],
    "definitions": {"interval": "95 %.", "is_learnt": "Above.", "is_recall": "Memory."},
    "seed": 7,
}  # fmt: skip


def page(report, order=("base", "chat")):
    return ordered_page(report, order=order)


class Tags(HTMLParser):
    """Checks that every tag that opens also closes, in order."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags_of(text):
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


def test_the_page_is_well_formed_and_loads_nothing():
    text = page(REPORT)
    tags = tags_of(text)
    assert not [tag for tag, _ in tags if tag in ("script", "link", "img", "iframe")]
    assert not re.search(r"https?://|url\(|@import", text)


def test_what_a_model_says_cannot_become_markup():
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page(REPORT)


def test_figures_stand_with_their_intervals_and_the_constant_answer():
    text = re.sub(r"<[^>]*>", " ", page(REPORT))
    for wanted in (
        "98.0",
        "95.7 to 99.1",
        "constant answer 1.0&nbsp;%",
        "1.627",
        "1.570 to 1.690",
        "not measured",
        "2,531,840",
    ):
        assert wanted in text


def test_bars_are_as_long_as_their_figures():
    lengths = [attrs["width"] for tag, attrs in tags_of(page(REPORT)) if tag == "rect" and attrs["class"] != "track"]
    assert lengths == [f"{100 * 1.627 / 8:.2f}", f"{100 * 1.81 / 8:.2f}", "0.00", "98.00"]


def test_recall_is_labelled_and_so_is_what_was_not_learnt():
    report = copy.deepcopy(REPORT)
    assert "tag mark" not in page(report)
    report["skills"][0]["is_recall"] = True
    assert '<span class="tag mark">recall</span>' in page(report)
    assert page(report).count(">not learnt<") == 1


def test_a_report_of_text_alone_or_skills_alone_has_a_page():
    assert "Skills" not in page(REPORT | {"skills": []})
    assert "Bits per byte" not in page(REPORT | {"suites": []})


def test_models_stand_in_the_order_asked_for_and_the_last_one_stands_out():
    straight, turned = (re.sub(r"<[^>]*>", " ", page(REPORT, order)) for order in (("base", "chat"), ("chat", "base")))
    assert re.search(r"base\s+learnt 0.*chat\s+learnt 1", straight, re.DOTALL)
    assert re.search(r"chat\s+learnt 1.*base\s+learnt 0", turned, re.DOTALL)
    bars = [attrs["class"] for tag, attrs in tags_of(page(REPORT, ("chat", "base"))) if tag == "rect"]
    assert bars[-4:] == ["track", "other", "track", "model"]

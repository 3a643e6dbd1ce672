import pyarrow as pa
import pytest

from whorl.core.errors import DataError
from whorl.core.records import DOCUMENTS
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter

DENY = {
    "hosts": ["www.exact.example"],
    "domains": ["Ads.Example", "b\u00fccher.example"],
    "prefixes": ["https://mixed.example/shop/", "mixed.example:8080/Shop"],
    "words": ["Casino"],
}


@pytest.fixture
def matched(verdict_on):
    """What a list makes of one URL: the detail of the drop, or None."""

    def one(url, **config):
        found = verdict_on({"use": "urls", **config}, ["text"], url=[url])
        return found.detail[0].as_py()

    return one


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://www.exact.example/", "host www.exact.example"),
        ("http://exact.example/", None),
        ("http://sub.www.exact.example/", None),
        ("http://ads.example/x?y#z", "domain ads.example"),
        ("https://A.B.ADS.EXAMPLE.:443", "domain ads.example"),
        ("http://user:pass@ads.example/", "domain ads.example"),
        ("//ads.example/", "domain ads.example"),
        ("ads.example/page", "domain ads.example"),
        ("http://notads.example/", None),
        ("http://ads.example.net/", None),
        ("http://net/?u=ads.example", None),
        ("http://xn--bcher-kva.example/", "domain xn--bcher-kva.example"),
        ("http://b\u00fccher.example/", "domain xn--bcher-kva.example"),
        ("http://mixed.example/shop/1", "prefix mixed.example/shop/"),
        ("http://mixed.example/shopping", None),
        ("http://mixed.example/Shopping", "prefix mixed.example/Shop"),
        ("http://other.example/shop/1", None),
        ("http://fine.example/Online-CASINO-24.html", "word casino"),
        ("http://fine.example/casinos", None),
        ("http://[::1]:8/", None),
    ],
)
def test_a_url_matches_what_the_list_says(matched, url, match):
    wanted = None if match is None else f"deny {match}, want one of none"
    assert matched(url, deny=DENY) == wanted


def test_with_an_allow_list_a_url_has_to_be_on_it(verdict_on):
    config = {"use": "urls", "allow": {"domains": ["good.example"]}, "deny": {"prefixes": ["good.example/ads/"]}}
    urls = ["http://www.good.example/", "http://good.example/ads/1", "http://bad.example/", None]
    found = verdict_on(config, ["text"] * 4, url=urls)
    assert found.reason.to_pylist() == [None, "denied_url", "url_not_allowed", None]


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_documents_without_a_url_are_kept_unless_they_may_not_be(verdict_on, missing):
    kept = verdict_on({"use": "urls", "deny": DENY}, ["text"], url=[missing])
    dropped = verdict_on({"use": "urls", "without_url": "drop"}, ["text", "text"], url=[missing, "http://a.example"])
    assert kept.is_kept.tolist() == [True]
    assert dropped.reason.to_pylist() == ["no_url", None]


def judged_below(root, files, urls):
    """Verdicts with a deny list read from files of a project folder."""
    columns = {name: [None] * len(urls) for name in DOCUMENTS.names}
    columns |= {"id": urls, "source": urls, "text": urls, "url": urls}
    rule = Filter.model_validate({"use": "urls", "deny": {"files": files}})
    return rule.judge(DocumentBatch(pa.table(columns, schema=DOCUMENTS), root=root))


def test_a_list_in_a_file_is_a_list(workshop):
    workshop.write("lists/bad.txt", "# ours\n\nads.example  # inline\n0.0.0.0 tracker.example\n::1 six.example\n")
    workshop.write("lists/words.txt", "casino\n")
    files = [{"path": "lists/bad.txt"}, {"path": "lists/words.txt", "holds": "words"}]
    urls = [
        "http://ads.example",
        "http://x.tracker.example",
        "http://six.example",
        "http://a.example/casino",
        "http://a.example",
    ]
    assert judged_below(workshop.root, files, urls).is_kept.tolist() == [False, False, False, False, True]


def test_a_file_that_changed_is_read_again_and_counts_as_another_input(workshop):
    files = [{"path": "bad.txt"}]
    rule = Filter.model_validate({"use": "urls", "deny": {"files": files}})
    workshop.write("bad.txt", "a.example")
    before = rule.raw_inputs(workshop.root)
    assert not judged_below(workshop.root, files, ["http://a.example"]).is_kept[0]
    workshop.write("bad.txt", "longer.example")
    assert judged_below(workshop.root, files, ["http://a.example"]).is_kept[0]
    assert before.keys() == rule.raw_inputs(workshop.root).keys() == {"deny.files.0"}
    assert before != rule.raw_inputs(workshop.root)


def test_what_a_file_is_called_is_no_part_of_the_recipe():
    one, two = (Filter.model_validate({"use": "urls", "deny": {"files": [{"path": path}]}}) for path in ("a.txt", "b.txt"))
    assert one.measured_by() == two.measured_by()


@pytest.mark.parametrize("content", ["two words\n", b"\xff\xfe"])
def test_a_file_that_is_no_list_is_an_error_that_names_it(workshop, content):
    workshop.write("bad.txt", content)
    with pytest.raises(DataError, match=r"bad\.txt.*want .*one entry per line"):
        judged_below(workshop.root, [{"path": "bad.txt"}], ["http://a.example"])


def test_a_missing_file_is_an_error_that_names_it(workshop):
    with pytest.raises(DataError, match=r"gone\.txt.*project folder"):
        judged_below(workshop.root, [{"path": "gone.txt"}], ["http://a.example"])
    with pytest.raises(DataError, match=r"gone\.txt.*project folder"):
        Filter.model_validate({"use": "urls", "deny": {"files": [{"path": "gone.txt"}]}}).raw_inputs(workshop.root)


def test_the_longest_prefix_is_named(matched):
    assert matched("http://a.example/b/c", deny={"prefixes": ["a.example/b", "a.example/b/c"]}).startswith(
        "deny prefix a.example/b/c,"
    )


def test_a_name_that_no_server_can_have_is_compared_as_it_is(matched):
    odd = "\u2024" * 3 + "\u00fc" * 80 + ".example"
    assert matched(f"http://{odd}/", deny={"hosts": [odd]}).startswith("deny host")

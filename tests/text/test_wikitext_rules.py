import pytest

from whorl.text.wikitext import prose
from whorl.text.wikitext_rules import Rules, scripted


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        ("lang|fr|amour", "amour"),
        ("Lang-de|Haus", "Haus"),
        ("nowrap| 10 km ", "10 km"),
        ("quote|text=Said so.|author=X", "\nSaid so.\n"),
        ("convert|1300|km2|mi2|abbr=on", "1,300 km\u00b2"),
        ("convert|10|to|20|km|mi", "10 to 20 km"),
        ("cvt|5", "5"),
        ("frac|1|2", "1/2"),
        ("frac|3|1|2", "3 1/2"),
        ("frac|4", "1/4"),
        ("chem|H|2|O", "H\u2082O"),
        ("sup|th", "th"),
        ("circa|1900", "c. 1900"),
        ("snd", " \u2013 "),
        ("formatnum:12345", "12345"),
        ("as of|2015|df=US", "As of 2015"),
        ("angbr|1=a", "\u27e8a\u27e9"),
        ("pipe", "|"),
        ("nowrap", ""),
        ("Infobox|name=x", None),
        ("cite web|url=x", None),
        ("#if:x|y|z", None),
    ],
)
def test_a_template_shows_what_its_reader_sees(inside, shown):
    assert Rules().shown(inside) == shown


def test_without_templates_every_template_is_dropped():
    rules = Rules(templates={})
    assert [rules.shown(inside) for inside in ("lang|fr|x", "convert|1|km", "frac|2")] == [None] * 3


def test_a_template_can_hold_links_tags_and_templates():
    assert prose("{{quote|one [[two|2]] {{nowrap|three {{lang|de|vier}}}}<ref>five</ref>}}") == "one 2 three vier"


def test_text_that_has_no_raised_form_stays_where_it_is():
    assert scripted("-12", "sup") == "\u207b\u00b9\u00b2"
    assert scripted("x", "sub") is None
    assert scripted("", "sub") is None

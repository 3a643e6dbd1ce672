import ftfy
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from whorl.corpus.edits import Edit
from whorl.corpus.edits.mojibake import _REPAIR

CLEAN = st.text(
    st.one_of(st.sampled_from("a b.\n\u00e9\u00fc\u2019\u201c\u20ac\u0434\u4e2d"), st.characters(codec="utf-8")), max_size=25
)
CODEC = st.sampled_from(["latin-1", "windows-1252", "windows-1251", "mac-roman"])


def broken(text, codec, times=1):
    for _ in range(times):
        text = text.encode().decode(codec)
    return text


def edited(*texts):
    found = Edit.model_validate({"use": "mojibake"}).apply(pa.array(texts, pa.large_string()))
    return found.texts.to_pylist(), found.num_spans.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "It\u2019s a caf\u00e9 in K\u00f6ln.",
        "\u201cWe came back,\u201d she said \u2014 \u201cat last\u201d.",
        "\u0434\u043e\u0431\u0440\u044b\u0439 \u0434\u0435\u043d\u044c",
        "\u6f22\u5b57\u3068\u304b\u306a",
        "plain",
        "",
        "&amp; \ufb01 \uff21 \u2018stay\u2019",
    ],
)
def test_clean_text_stays_as_it_is(text):
    assert edited(text) == ([text], [0])


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("codec", ["latin-1", "windows-1252"])
def test_text_read_in_the_wrong_encoding_becomes_what_it_was(codec, times):
    text = "Die K\u00e4ufer \u00fcberh\u00f6ren das Ger\u00e4usch"
    assert edited(broken(text, codec, times)) == ([text], [1])


def test_every_changed_line_is_a_span_and_other_texts_stay():
    page = "\n".join(["caf\u00c3\u00a9", "plain", "na\u00c3\u00afve", ""])
    assert edited("clean", page, "also clean") == (["clean", "caf\u00e9\nplain\nna\u00efve\n", "also clean"], [0, 2, 0])


def settled(text):
    """The repair alone, without any search for what may need it."""
    found = text
    for _ in range(8):
        again = ftfy.fix_text(found, _REPAIR)
        if again == found:
            return found
        found = again
    return text


@settings(max_examples=50, deadline=None)
@given(text=CLEAN, codec=CODEC, times=st.integers(0, 2))
@example(text="\n\u00c3 la carte", codec="latin-1", times=0)
def test_the_search_for_suspects_hides_nothing_that_would_be_repaired(text, codec, times):
    try:
        text = broken(text, codec, times)
    except UnicodeDecodeError:  # this text cannot break so
        assume(not text.isascii())
    assert edited(text)[0] == [settled(text)]

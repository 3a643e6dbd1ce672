import numpy as np
import pyarrow as pa
import pycld2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.text.language import UNKNOWN, detect, known_languages, languages, primary_subtag

# After the Universal Declaration of Human Rights, articles 1 and 4.
ARTICLES = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.",
    "fr": "Tous les \u00eatres humains naissent libres et \u00e9gaux en dignit\u00e9 et en droits. Ils ont une conscience.",
    "de": "Niemand darf in Sklaverei gehalten werden; Sklavenhandel wird verboten. Jeder Mensch hat Rechte und Freiheiten.",
    "no": "Ingen m\u00e5 holdes i slaveri eller trelldom; slaveri og slavehandel i enhver form er forbudt.",
    "he": "\u05db\u05dc \u05d1\u05e0\u05d9 \u05d4\u05d0\u05d3\u05dd \u05e0\u05d5\u05dc\u05d3\u05d5 \u05d1\u05e0\u05d9 "
    "\u05d7\u05d5\u05e8\u05d9\u05df \u05d5\u05e9\u05d5\u05d5\u05d9\u05dd \u05d1\u05e2\u05e8\u05db\u05dd "
    "\u05d5\u05d1\u05d6\u05db\u05d5\u05d9\u05d5\u05ea\u05d9\u05d4\u05dd",
    "jv": "Saben uwong kalairake kanthi mardika lan darbe martabat lan hak-hak kang padha. Kabeh pinaringan akal lan kalbu.",
    "zh": "\u4eba\u4eba\u751f\u800c\u81ea\u7531\uff0c\u5728\u5c0a\u4e25\u548c\u6743\u5229\u4e0a\u4e00\u5f8b\u5e73\u7b49\u3002",
}
TRADITIONAL = (
    "\u4eba\u4eba\u751f\u800c\u81ea\u7531\uff0c\u5728\u5c0a\u56b4\u548c\u6b0a\u5229\u4e0a\u4e00\u5f8b\u5e73\u7b49\u3002"
)
CHARACTERS = st.characters(exclude_categories=["Cs"])


@pytest.mark.parametrize("code", ARTICLES)
def test_a_sentence_gets_the_code_bcp_47_prefers(code):
    found = detect(ARTICLES[code])
    assert found.code == code
    assert found.confidence > 0.9
    assert found.shares[code] == found.confidence


def test_both_scripts_of_chinese_are_one_language():
    assert detect(TRADITIONAL).code == "zh"
    assert detect(ARTICLES["zh"] + TRADITIONAL).shares["zh"] > 0.95


@pytest.mark.parametrize("text", ["", " \n", "12, 3.4; 56!", "\x00\x01", "\U0001f600" * 50])
def test_what_has_no_letters_is_unknown(text):
    assert detect(text) == (UNKNOWN, 0.0, {})


def test_a_mixed_text_has_shares_and_the_largest_is_its_language():
    english, french = "\n".join([ARTICLES["en"]] * 60), "\n".join([ARTICLES["fr"]] * 30)
    found = detect(f"{english}\n{french}")
    share = len(english.encode()) / len(f"{english}\n{french}".encode())
    assert found.code == "en"
    assert found.shares["en"] == pytest.approx(share, abs=0.03)
    assert found.shares["fr"] == pytest.approx(1 - share, abs=0.03)
    assert found.confidence == found.shares["en"]


def test_a_guess_on_a_few_letters_counts_half():
    found = detect("Artikel 2")
    assert found.code != UNKNOWN
    assert 0 < found.confidence <= 0.5 * found.shares[found.code]


@pytest.mark.parametrize("refused", ["\x00", "\x0b", "\x7f", "\x85", "\x9f", "\ufdd0", "\ufffe", "\U0010ffff"])
def test_characters_the_detector_refuses_count_as_spaces(refused):
    with pytest.raises(pycld2.error):
        pycld2.detect(f"a{refused}b", isPlainText=True)
    assert detect(ARTICLES["de"].replace(" ", refused)) == detect(ARTICLES["de"])


def test_a_lone_surrogate_counts_as_a_space():
    assert detect("\ud800 " + ARTICLES["fr"]).code == "fr"


@given(text=st.text(CHARACTERS, max_size=60))
def test_any_text_has_an_answer_within_bounds(text):
    found = detect(text)
    assert 0 <= found.confidence <= 1
    assert sum(found.shares.values()) <= 1 + 1e-9
    assert found.code in known_languages()
    assert (found.code == UNKNOWN) == (not found.shares)


@given(texts=st.lists(st.one_of(st.text(CHARACTERS, max_size=60), st.sampled_from(list(ARTICLES.values()))), max_size=6))
def test_a_column_gets_the_answers_its_texts_get_alone(texts):
    table = languages(pa.array(texts, pa.large_string()))
    alone = [detect(text) for text in texts]
    assert table.codes.to_pylist() == [one.code for one in alone]
    assert np.array_equal(table.confidences, np.array([one.confidence for one in alone]))
    assert [dict(row) for row in table.shares.to_pylist()] == [one.shares for one in alone]


def test_short_columns_slices_and_nulls_are_read():
    column = pa.chunked_array([pa.array(["x", ARTICLES["fr"]]).slice(1), pa.array([None, ARTICLES["en"]])])
    assert languages(column).codes.to_pylist() == ["fr", UNKNOWN, "en"]


def test_the_end_of_a_long_text_counts_as_much_as_its_beginning():
    begin = (ARTICLES["en"] + " ") * 12_000  # 1.3 MB
    text = begin + (ARTICLES["fr"] + " ") * 24_000
    assert detect(text).code == "fr"
    share = len(begin.encode()) / len(text.encode())
    assert detect(text).shares["en"] == pytest.approx(share, abs=0.02)


def test_a_text_larger_than_the_detector_can_count_is_read_right():
    text = (ARTICLES["en"] + " ") * 480_000  # 53 MB; given it whole, the detector overflows
    found = detect(text)
    assert found.code == "en"
    assert found.confidence > 0.95


def test_a_long_text_without_spaces_is_not_cut_inside_a_character():
    characters = [chr(0x4E00 + 37 * n % 5000) for n in range(5003)]
    found = detect("".join(characters) * 100)  # 1.5 MB of three-byte characters
    assert found.code == "zh"


@pytest.mark.parametrize(
    ("tag", "subtag"),
    [
        ("iw", "he"), ("jw", "jv"), ("nb", "no"), ("nn", "nn"), ("zh-Hant", "zh"), ("en_GB", "en"), (" EN ", "en"),
        ("un", "und"), ("xx-Bugi", "bug"), ("xx-Arab", "und"), ("zzp", "und"), ("sr-ME", "sr"), ("ceb", "ceb"),
    ],
)  # fmt: skip
def test_a_tag_in_any_spelling_has_one_subtag(tag, subtag):
    assert primary_subtag(tag) == subtag


def test_known_languages_are_primary_subtags():
    known = known_languages()
    assert {"en", "he", "jv", "no", "nn", "zh", UNKNOWN} <= known
    assert not known & {"iw", "jw", "un", "nb"}
    assert {primary_subtag(code) for code in known} == known

"""What is special about the resiliparse member."""

import sys

import pytest

from whorl.core.errors import ResourceError
from whorl.corpus.extract import Extractor
from whorl.corpus.extract import resiliparse as member

PAGE = "<main><p>A paragraph, with words in it.</p><ol><li>One fine item of a list, and more of it</ol></main>"


def test_bullets_and_numbers_can_be_left_out():
    with_bullets = Extractor.model_validate({"use": "resiliparse"}).extract(PAGE, None).text
    without = Extractor.model_validate({"use": "resiliparse", "list_bullets": False}).extract(PAGE, None).text
    assert "1. One fine item" in with_bullets
    assert "1." not in without


def test_halves_of_surrogate_pairs_do_not_reach_the_package():
    assert "word ? word" in Extractor.model_validate({"use": "resiliparse"}).extract("<p>word \ud800 word</p>", None).text


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    member._plain_text.cache_clear()
    monkeypatch.setitem(sys.modules, "resiliparse.extract.html2text", None)
    with pytest.raises(ResourceError, match=r"pip install 'whorl\[web\]'"):
        Extractor.model_validate({"use": "resiliparse"}).extract(PAGE, None)
    member._plain_text.cache_clear()

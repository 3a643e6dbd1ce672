"""What is special about the trafilatura member."""

import sys

import pytest

from whorl.core.errors import ResourceError
from whorl.corpus.extract import Extractor
from whorl.corpus.extract import trafilatura as member

PAGE = "<html><body><article><p>" + "A paragraph, with words in it. " * 20 + "</p></article></body></html>"


def test_a_page_beyond_the_limit_gives_no_text_but_its_facts():
    small = Extractor.model_validate({"use": "trafilatura", "max_bytes": 200})
    found = small.extract(PAGE.replace("<body>", "<title>Long</title><body>"), None)
    assert (found.text, found.title) == ("", "Long")
    assert "A paragraph" in Extractor.model_validate({"use": "trafilatura"}).extract(PAGE, None).text


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    member._extract.cache_clear()
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(ResourceError, match=r"pip install 'whorl\[web\]'"):
        Extractor.model_validate({"use": "trafilatura"}).extract(PAGE, None)
    member._extract.cache_clear()

import json

import pytest

from whorl.corpus.rights import Rights


def shown(rights):
    return json.loads(rights.to_json() or "null")


def test_silence_is_no_evidence():
    assert Rights().to_json() is None
    assert Rights.of_page([]).with_headers([("Server", "x"), ("X-Robots-Tag", " ")]).to_json() is None


def test_a_page_speaks_of_robots_and_of_mining():
    page = Rights.of_page(["noai", "googlebot: noindex", "tdm-reservation: 1", "tdm-policy: https://x/p.json"])
    assert shown(page) == {
        "robots_meta": ["noai", "googlebot: noindex"],
        "tdm_reservation": "1",
        "tdm_policy": "https://x/p.json",
    }


@pytest.mark.parametrize(
    ("values", "directives"),
    [
        (["noindex, NoAI"], ["noindex", "noai"]),
        (["GPTBot: noindex, nofollow"], ["gptbot: noindex", "gptbot: nofollow"]),
        (["max-snippet: 5, noai"], ["max-snippet: 5", "noai"]),
        (["noai, max-snippet: 5"], ["noai", "max-snippet: 5"]),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], ["unavailable_after: 25 jun 2010 15:00:00 pst"]),
        (["noai", "noai", "noarchive"], ["noai", "noarchive"]),
    ],
)
def test_directives_of_headers_keep_the_agent_they_are_for(values, directives):
    assert shown(Rights().with_headers([("X-ROBOTS-TAG", value) for value in values])) == {"x_robots_tag": directives}


@pytest.mark.parametrize(
    ("page", "headers", "said"),
    [
        ([], ["1"], "1"),
        ([], ["0"], "0"),
        ([], ["0", "1"], "1"),
        ([], ["yes"], None),
        (["tdm-reservation: 0"], ["1"], "0"),
        (["tdm-reservation: maybe"], ["1"], "1"),
    ],
)
def test_a_reservation_is_one_or_zero_and_the_page_comes_first(page, headers, said):
    rights = Rights.of_page(page).with_headers([("TDM-Reservation", value) for value in headers])
    assert shown(rights) == ({"tdm_reservation": said} if said else None)


def test_a_robots_txt_that_forbids_nobody_is_evidence_too():
    assert shown(Rights().with_robots_txt([])) == {"robots_txt": {"disallowed": []}}
    assert shown(Rights().with_robots_txt(["CCBot"])) == {"robots_txt": {"disallowed": ["CCBot"]}}
    assert shown(Rights().with_headers([("tdm-policy", "https://x/p")])) == {"tdm_policy": "https://x/p"}

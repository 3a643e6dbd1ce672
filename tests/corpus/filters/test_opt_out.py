import json

import pyarrow as pa
import pytest

from whorl.corpus.filters import Filter

EVIDENCE = {
    "meta": {"robots_meta": ["noai", "noindex"]},
    "header": {"x_robots_tag": ["NOAI"]},
    "header for one agent": {"x_robots_tag": ["somebot: noai"]},
    "reservation": {"tdm_reservation": "1", "tdm_policy": "https://a.example/policy"},
    "robots.txt": {"robots_txt": {"disallowed": ["GPTBot", "CCBot"]}},
}
SILENCE = {
    "nothing": None,
    "empty": {},
    "search only": {"robots_meta": ["noindex", "nofollow"]},
    "pictures only": {"robots_meta": ["noimageai"], "x_robots_tag": ["noimageai"]},
    "no reservation": {"tdm_reservation": "0"},
    "nobody kept out": {"robots_txt": {"disallowed": []}},
}


@pytest.fixture
def dropped(verdict_on):
    """Why a document with these rights is dropped, or None."""

    def one(rights, **config):
        written = rights if rights is None or isinstance(rights, str) else json.dumps(rights)
        found = verdict_on({"use": "opt_out", **config}, ["text"], rights=[written])
        return found.reason[0].as_py(), found.detail[0].as_py()

    return one


@pytest.mark.parametrize("kind", EVIDENCE)
def test_a_document_whose_publisher_opted_out_is_dropped(dropped, kind):
    assert dropped(EVIDENCE[kind])[0] == "opted_out"


@pytest.mark.parametrize("kind", SILENCE)
def test_a_document_whose_publisher_did_not_is_kept(dropped, kind):
    assert dropped(SILENCE[kind]) == (None, None)


def test_only_the_evidence_that_counted_is_shown(dropped):
    rights = {"robots_meta": ["noindex", "noai"], "robots_txt": {"disallowed": ["GPTBot", "CCBot"]}, "tdm_reservation": "0"}
    assert dropped(rights)[1] == "robots_meta=noai;robots_txt=CCBot,GPTBot, want one of none"


def test_evidence_of_a_kind_that_does_not_count_is_ignored(dropped):
    assert dropped(EVIDENCE["meta"], evidence=["tdm_reservation", "robots_txt"])[0] is None
    assert dropped(EVIDENCE["reservation"], evidence=["tdm_reservation"])[0] == "opted_out"


def test_other_directives_can_be_made_to_count(dropped):
    assert dropped(SILENCE["search only"], directives=["NoIndex"])[1].startswith("robots_meta=noindex,")
    assert dropped(EVIDENCE["meta"], directives=[])[0] is None


def test_agents_can_be_chosen(dropped):
    rights = EVIDENCE["robots.txt"]
    assert dropped(rights, agents=["ccbot", "other"])[1] == "robots_txt=CCBot, want one of none"
    assert dropped(rights, agents=["other"])[0] is None
    assert dropped(rights, agents=["CCBot", "other"], robots_txt="all")[0] is None
    assert dropped(rights, agents=["CCBot", "GPTBot"], robots_txt="all")[0] == "opted_out"
    with pytest.raises(ValueError, match="wants a list of agents"):
        Filter.model_validate({"use": "opt_out", "robots_txt": "all"})


@pytest.mark.parametrize(
    "rights", ["no json", "[]", '"x"', "3", '{"robots_meta": "noai"}', '{"robots_txt": ["GPTBot"]}', "[" * 5000]
)
def test_rights_that_cannot_be_read_are_a_reason_of_their_own(dropped, rights):
    assert dropped(rights) == ("unreadable_rights", "unreadable, want none of unreadable")
    assert dropped(rights, unreadable="keep")[0] is None


def test_separators_inside_a_name_cannot_forge_evidence(dropped):
    rights = {"robots_meta": ["none;tdm_reservation=1"], "robots_txt": {"disallowed": []}}
    assert dropped(rights)[0] is None


def test_thresholds_are_applied_to_the_figures_alone():
    rule = Filter.model_validate({"use": "opt_out"})
    figures = {"opt_out.evidence": pa.array(["robots_meta=noai", None, "tdm_reservation=0"])}
    broken = [bool(row) for row in rule.rules(figures)[-1].is_broken]
    assert broken == [True, False, False]

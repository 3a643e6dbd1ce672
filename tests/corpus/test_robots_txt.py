from urllib.robotparser import RobotFileParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.corpus.robots_txt import AI_AGENTS, parse_robots_txt, site_of

SITE = "https://example.org"


def disallowed(text, path="/page", agents=("GPTBot", "CCBot")):
    return parse_robots_txt(text.encode(), agents).disallowed(SITE + path)


def test_an_agent_follows_its_own_group_and_others_the_star():
    text = "User-agent: *\nDisallow: /private\n\nUser-agent: GPTBot\nDisallow: /\n"
    assert disallowed(text) == ["GPTBot"]
    assert disallowed(text, "/private/x") == ["CCBot", "GPTBot"]
    assert disallowed("User-agent: GPTBot\nDisallow:\n\nUser-agent: *\nDisallow: /") == ["CCBot"]


def test_agents_named_together_share_rules_and_groups_of_one_agent_are_joined():
    assert disallowed("User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /") == ["CCBot", "GPTBot"]
    text = "User-agent: GPTBot\nDisallow: /a\n\nUser-agent: CCBot\nDisallow: /b\n\nUser-agent: GPTBot\nDisallow: /c"
    assert [disallowed(text, path) for path in ("/a", "/b", "/c")] == [["GPTBot"], ["CCBot"], ["GPTBot"]]


@pytest.mark.parametrize(
    ("rules", "path", "is_allowed"),
    [
        ("Disallow: /a\nAllow: /a/b", "/a/b/c", True),  # the longest match
        ("Allow: /a\nDisallow: /a/b", "/a/b/c", False),
        ("Disallow: /a\nAllow: /a", "/a", True),  # a tie
        ("Disallow: /*.pdf$", "/x/y.pdf", False),
        ("Disallow: /*.pdf$", "/x/y.pdf?z", True),
        ("Disallow: /*?", "/x?q=1", False),
        ("Disallow: /*?", "/x", True),
        ("Disallow: /a*c*e", "/abcde", False),
        ("Disallow: /a*c*e", "/aec", True),
        ("Disallow: /a*b$", "/ab", False),
        ("Disallow: /ab*b$", "/ab", True),  # one b cannot be both
        ("Disallow: /caf\u00e9", "/caf%C3%A9", False),
        ("Disallow: /caf%c3%a9", "/caf\u00e9", False),
        ("Disallow: /%7Ejoe", "/~joe", False),
        ("Disallow: /a%2Fb", "/a/b", True),
        ("Disallow: /robots.txt", "/robots.txt", True),
        ("Disallow: / # not you", "/x", False),
        ("disallow : /x", "/x", False),
        ("Crawl-delay: 3\nDisallow: /x", "/x", False),
        ("Sitemap: https://example.org/s.xml", "/x", True),
    ],
)
def test_rules_mean_what_rfc_9309_says(rules, path, is_allowed):
    assert disallowed(f"User-agent: *\n{rules}\n", path, ("CCBot",)) == ([] if is_allowed else ["CCBot"])


def test_a_line_that_is_no_rule_does_not_end_a_group():
    assert disallowed("User-agent: CCBot\nSitemap: /s\nhello\nUser-agent: GPTBot\nDisallow: /") == ["CCBot", "GPTBot"]


def test_a_version_after_the_name_and_old_line_ends_are_understood():
    assert disallowed("\ufeffUSER-AGENT: gptbot/1.0\rDISALLOW: /\r") == ["GPTBot"]


@pytest.mark.parametrize("text", ["", "Disallow: /", "\x00\x01\xff", "<html>no such page</html>"])
def test_a_file_without_groups_forbids_nothing(text):
    assert disallowed(text) == []


def test_every_known_agent_can_be_kept_out_by_name():
    assert len(set(map(str.lower, AI_AGENTS))) == len(AI_AGENTS)
    for agent in AI_AGENTS:
        assert parse_robots_txt(f"User-agent: {agent}\nDisallow: /".encode()).disallowed(SITE) == [agent]


def test_many_wildcards_take_no_time_to_speak_of():
    text = f"User-agent: *\nDisallow: /{'*a' * 5000}*b$\n"
    assert disallowed(text, "/" + "a" * 20_000, ("CCBot",)) == []


PATHS = st.lists(st.sampled_from(["a", "b", "ab", "c%41", "d.html", "~e"]), max_size=3).map(lambda parts: "/" + "/".join(parts))
GROUPS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["*", "GPTBot", "CCBot", "Other"]), min_size=1, max_size=2, unique=True),
        st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), PATHS), min_size=1, max_size=5),
    ),
    max_size=4,
)


@given(groups=GROUPS, path=PATHS)
def test_verdicts_are_those_of_the_standard_library_where_both_mean_the_same(groups, path):
    """It takes the first rule that matches, so rules go in by falling length, Allow first; and the first group of a name."""
    seen = set()
    lines = []
    for names, rules in groups:
        fresh = [name for name in names if name not in seen]
        seen.update(fresh)
        if fresh:
            lines += [f"User-agent: {name}" for name in fresh]
            lines += [
                f"{verb}: {where}"
                for verb, where in sorted(rules, key=lambda rule: (-len(rule[1].replace("%41", "A")), rule[0]))
            ]
            lines.append("")
    oracle = RobotFileParser()
    oracle.modified()
    oracle.parse(lines)
    expected = [agent for agent in ("CCBot", "GPTBot") if not oracle.can_fetch(agent, SITE + path)]
    assert disallowed("\n".join(lines), path) == expected


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("HTTPS://Example.ORG/x", "https://example.org"),
        ("http://example.org:80/x", "http://example.org"),
        ("http://example.org:8080", "http://example.org:8080"),
        ("http://user@example.org/", "http://example.org"),
        ("ftp://example.org/", ""),
        ("dns:example.org", ""),
        ("http://[bad", ""),
        ("http://example.org:port/", ""),
        ("", ""),
    ],
)
def test_a_site_is_scheme_host_and_port(url, site):
    assert site_of(url) == site


def test_an_address_that_cannot_be_parsed_counts_as_the_root():
    robots = parse_robots_txt(b"User-agent: *\nDisallow: /$", ["CCBot"])
    assert robots.disallowed("http://[bad") == ["CCBot"]

"""corpus/robots_txt: what a site's robots.txt forbids whom (RFC 9309).

The longest matching rule decides, `Allow` wins a tie, `*` and `$` are wild, an agent without a group of its own follows `*`.
Matching takes time linear in the address for each `*`. Fetches nothing; a crawl delay or a sitemap is not looked at.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, urlsplit

__all__ = ["AI_AGENTS", "RobotsTxt", "parse_robots_txt", "site_of"]

# Agents that gather text for training or answering models, by the product token they say they obey in robots.txt.
AI_AGENTS = (
    "AI2Bot",
    "Amazonbot",
    "Applebot-Extended",
    "Bytespider",
    "CCBot",
    "ChatGPT-User",
    "Claude-Web",
    "ClaudeBot",
    "Diffbot",
    "FacebookBot",
    "GPTBot",
    "Google-CloudVertexBot",
    "Google-Extended",
    "ImagesiftBot",
    "Meta-ExternalAgent",
    "OAI-SearchBot",
    "PanguBot",
    "PerplexityBot",
    "Timpibot",
    "YouBot",
    "anthropic-ai",
    "cohere-ai",
    "cohere-training-data-crawler",
    "img2dataset",
    "omgili",
    "omgilibot",
)
_MAX_BYTES = 524_288  # 500 KiB is what a crawler has to read at least
_LINE = re.compile(r"^\s*([A-Za-z-]+)\s*:\s*([^#]*)")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")  # digits: the RFC has none, AI2Bot does


class _Rule(NamedTuple):
    pieces: tuple[str, ...]  # of the path, parted by its wildcards
    is_anchored: bool  # ends with `$`
    length: int  # of the path as written
    is_allowed: bool

    def matches(self, path: str) -> bool:
        """Whether the path begins with the pieces in this order, whatever lies between them."""
        first, *inner = self.pieces
        if not inner:
            return path == first if self.is_anchored else path.startswith(first)
        if not path.startswith(first):
            return False
        last = inner.pop() if self.is_anchored else ""
        at = len(first)
        for piece in inner:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(path) - len(last) >= at and path.endswith(last)


_Rules = tuple[_Rule, ...]


class RobotsTxt(NamedTuple):
    """The rules each of the known agents follows; agents without any are not listed."""

    groups: tuple[tuple[_Rules, tuple[str, ...]], ...]  # rules, and the agents that share them

    def disallowed(self, url: str) -> list[str]:
        """Known agents that may not read the page at this address, by name."""
        path = _path_of(url)
        return sorted(agent for rules, agents in self.groups if not _is_allowed(rules, path) for agent in agents)


def parse_robots_txt(data: bytes, agents: Sequence[str] = AI_AGENTS) -> RobotsTxt:
    """The rules for some agents in the bytes of a robots.txt; lines that are not rules are passed over, as the RFC says."""
    groups = _groups(data[:_MAX_BYTES].decode("utf-8-sig", "replace"))
    shared: dict[_Rules, list[str]] = {}
    for agent in agents:
        rules = groups.get(agent.lower(), groups.get("*", ()))
        if rules:
            shared.setdefault(rules, []).append(agent)
    return RobotsTxt(tuple((rules, tuple(names)) for rules, names in shared.items()))


def site_of(url: str) -> str:
    """Scheme, host and port of an address, lower case: what one robots.txt speaks for. Empty when it is no web address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or not parts.hostname:
        return ""
    is_usual = port in (None, 80 if scheme == "http" else 443)
    return f"{scheme}://{parts.hostname}" + ("" if is_usual else f":{port}")


def _groups(text: str) -> dict[str, _Rules]:
    """Rules by agent, lower case; groups that name the same agent are joined."""
    found: dict[str, list[_Rule]] = {}
    named: list[str] = []
    is_naming = False
    for match in filter(None, map(_LINE.match, re.split(r"\r\n|\r|\n", text))):
        key, value = match[1].lower(), match[2].strip()
        if key == "user-agent":
            named = [*named, _agent(value)] if is_naming else [_agent(value)]
            found.setdefault(named[-1], [])
            is_naming = True
        elif key in ("allow", "disallow"):
            is_naming = False
            rules = [_rule(value, is_allowed=key == "allow")] if value else []
            for agent in dict.fromkeys(named):
                found[agent] += rules
    return {agent: tuple(rules) for agent, rules in found.items()}


def _agent(value: str) -> str:
    """The product token of a user-agent line: `GPTBot/1.0` means GPTBot."""
    match = _TOKEN.match(value)
    return match[0].lower() if match else "*" if value.startswith("*") else value.lower()


def _rule(value: str, *, is_allowed: bool) -> _Rule:
    path = _normal(value)
    pieces = tuple(re.split(r"\*+", path.removesuffix("$")))
    return _Rule(pieces, path.endswith("$"), len(path), is_allowed)


def _is_allowed(rules: _Rules, path: str) -> bool:
    if path == "/robots.txt":
        return True
    hits = [(rule.length, rule.is_allowed) for rule in rules if rule.matches(path)]
    return max(hits)[1] if hits else True


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "/"
    return _normal((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _normal(path: str) -> str:
    """A path with everything outside ASCII escaped and escapes in one spelling."""
    escaped = quote(path, safe="/*$?&=;:@!'()+,[]~%#|^`{}\\\"<> ", errors="replace")
    return re.sub(r"%[0-9a-fA-F]{2}", lambda match: _unescaped(match[0]), escaped)


def _unescaped(escape: str) -> str:
    """The letter an escape means where RFC 3986 calls the two the same, else the escape in capitals."""
    letter = chr(int(escape[1:], 16))
    return letter if letter.isascii() and (letter.isalnum() or letter in "-._~") else escape.upper()

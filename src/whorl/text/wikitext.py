"""text/wikitext: MediaWiki markup to prose, in one pass with a stack, so that time grows with length and with nothing else.

Kept: running text, headings, lists, quotations, labels of links, and by choice mathematics and code. Dropped: comments,
references, templates that are not named in the rules, tables, files and their captions, categories, and the sections named in
the rules. A bracket without a partner is removed and what follows it is kept. Does not expand templates or follow redirects.

The grammar is that of https://www.mediawiki.org/wiki/Help:Formatting; mwparserfromhell is the measure in its tests.
"""

import re
from html import unescape
from typing import NamedTuple

from whorl.text.wikitext_lines import BREAK, GAP, readable
from whorl.text.wikitext_rules import BLOCK_TAGS, CODE_TAGS, DROPPED_TAGS, INLINE_TAGS, MATH_TAGS, Rules, scripted

__all__ = ["prose"]

_TOKEN = re.compile(
    r"\[\[[^\[\]{}|<\n]*(?:\|[^\[\]{}<\n]*)?\]\]"  # a link with nothing inside it: most of all tokens
    r"|\{\{[^{}\[\]<]*\}\}"  # a template with nothing inside it
    r"|\{\{\{?|\}\}\}?|\[\[|\]\]"
    r"|<!--|</?[a-zA-Z][^<>]{0,2000}>"
    r"|^[ \t:*#]*\{\||^[ \t]*\|\}(?!\})",
    re.MULTILINE,
)
_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)")
_SCRIPT = re.compile(r"<(su[bp])\b[^<>]*>([^<>]{1,12})</\1\s*>", re.IGNORECASE)
_OTHER_LANGUAGE = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]+)*\s*:")
_NOT_LANGUAGES = ("wp:", "mw:", "m:", "d:", "doi:", "rfc:", "oed:")
_URL = re.compile(r"(?:https?:|ftp:)?//|mailto:")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_VERBATIM = re.compile(r"\x02(\d+)\x03")
_BRACKETED = re.compile(r"\s*\([^()]*\)$")

_DEEPEST = 100  # brackets within brackets; MediaWiki itself stops expanding at 40 or 100


class _Frame(NamedTuple):
    """A bracket that was opened: which, and where in the output its content begins."""

    kind: str
    begin: int


def prose(wikitext: str, rules: Rules = Rules()) -> str:
    """What a reader of the page reads, paragraphs parted by blank lines. Control characters are removed."""
    scanner = _Scanner(_CONTROL.sub("", wikitext), rules)
    text = readable(scanner.scanned(), rules.dropped_sections)
    return _VERBATIM.sub(lambda mark: scanner.verbatim[int(mark.group(1))], text) if scanner.verbatim else text


class _Scanner:
    """Walks over the tokens of one page; `out` holds pieces of text, `stack` the brackets that are open."""

    def __init__(self, text: str, rules: Rules) -> None:
        self.text = text
        self.rules = rules
        self.out: list[str] = []
        self.stack: list[_Frame] = []
        self.verbatim: list[str] = []  # what no later pass may touch; the output holds its number
        self.unclosed: set[str] = set()  # tags known to have no end further on

    def scanned(self) -> str:
        """The text without brackets, tags and templates."""
        text, out, search = self.text, self.out, _TOKEN.search
        position = 0
        while match := search(text, position):
            begin, end = match.span()
            if begin > position:
                out.append(text[position:begin])
            token = match.group()
            first = token[0]
            if first == "[":
                self._open_link(token)
            elif first == "{" and len(token) > 3:
                out.append(self._template(token[2:-2]))
            elif first == "<":
                end = self._tag(token, begin, end)
            elif first == "}":
                end = self._close_template(token, begin)
            else:
                self._bracket(token)
            position = end
        out.append(text[position:])
        return "".join(out)

    def _open_link(self, token: str) -> None:
        if len(token) > 2:
            self.out.append(self._link(token[2:-2]))
        else:
            self._push("[[")

    def _bracket(self, token: str) -> None:
        """Openings of templates and tables; ends of links and tables."""
        if token.endswith(("{{", "{{{")):
            self._push(token)
        elif token.endswith("{|"):
            self._push("{|")
        elif token == "]]":
            if self.stack and self.stack[-1].kind == "[[":
                self.out.append(self._link(self._popped()))
        elif self._is_open("{|", but_not_above="{{"):
            self._close("{|")

    def _push(self, kind: str) -> None:
        if len(self.stack) < _DEEPEST:
            self.stack.append(_Frame(kind, len(self.out)))

    def _popped(self) -> str:
        """The content of the innermost bracket, taken back from the output."""
        frame = self.stack.pop()
        content = "".join(self.out[frame.begin :])
        del self.out[frame.begin :]
        return content

    def _is_open(self, kind: str, *, but_not_above: str = "") -> bool:
        for frame in reversed(self.stack):
            if frame.kind == kind or frame.kind == but_not_above:
                return frame.kind == kind
        return False

    def _close(self, kind: str) -> str:
        """The content of the nearest bracket of a kind; brackets inside that were never closed are forgotten."""
        while self.stack[-1].kind != kind:
            self.stack.pop()
        return self._popped()

    def _close_template(self, token: str, begin: int) -> int:
        kind = next((frame.kind for frame in reversed(self.stack) if frame.kind.startswith("{{")), None)
        if kind is None:
            return begin + len(token)
        content = self._close(kind)
        self.out.append(GAP if kind == "{{{" else self._template(content))
        return begin + min(len(kind), len(token))

    def _template(self, inside: str) -> str:
        shown = self.rules.shown(inside)
        return GAP if shown is None else shown

    def _link(self, inside: str) -> str:
        """What a reader sees of `[[inside]]`."""
        target, bar, label = inside.partition("|")
        target = target.strip()
        if ":" in target:
            if target[0] == ":":
                target = target[1:].strip()
            elif self._is_unseen(target):
                return ""
            elif _URL.match(target):
                return inside.partition(" ")[2].rstrip("]")
        if bar and not label:
            label = _BRACKETED.sub("", target.rpartition(":")[2])  # the pipe trick
        return label or target.lstrip("#").replace("_", " ")

    def _is_unseen(self, target: str) -> bool:
        """Whether a link is to a file, a category or the same page in another language."""
        namespace = target.partition(":")[0].rstrip().replace("_", " ").lower()
        is_other_language = _OTHER_LANGUAGE.match(target) and not target.startswith(_NOT_LANGUAGES)
        return namespace in self.rules.unseen_links or bool(is_other_language)

    def _tag(self, token: str, begin: int, end: int) -> int:
        """Handle a tag or a comment; where to read on."""
        if token == "<!--":
            close = self.text.find("-->", end)
            return len(self.text) if close < 0 else close + 3
        name = _NAME.match(token).group(1).lower()  # type: ignore[union-attr]  # the token's own pattern
        if name in DROPPED_TAGS | MATH_TAGS | CODE_TAGS or name == "nowiki":
            return self._extension(name, token, end)
        if name in ("table", "poem"):
            self._container(name, is_end=token[1] == "/")
        elif name in ("sub", "sup"):
            return self._script(begin, end)
        elif name in BLOCK_TAGS:
            self.out.append(BREAK)
        elif name not in INLINE_TAGS:
            self.out.append(token)  # not a tag: MediaWiki shows it as it is
        return end

    def _script(self, begin: int, end: int) -> int:
        """Text above or below the line keeps its place where Unicode has it, else only its letters."""
        match = _SCRIPT.match(self.text, begin)
        shown = scripted(match.group(2), match.group(1).lower()) if match else None
        if match is None or shown is None:
            return end
        self.out.append(shown)
        return match.end()

    def _container(self, name: str, *, is_end: bool) -> None:
        """A table in HTML, which is dropped, or a poem, whose lines stay lines."""
        kind = f"<{name}"
        if not is_end:
            self._push(kind)
        elif self._is_open(kind, but_not_above="{{"):
            content = self._close(kind)
            self.out.append(GAP if name == "table" else BREAK + content.strip().replace("\n", BREAK) + BREAK)

    def _extension(self, name: str, token: str, end: int) -> int:
        """A tag whose content is not wikitext. One that is never closed loses only itself."""
        if token[1] == "/" or token.endswith("/>") or name in self.unclosed:
            return end
        close = re.compile(rf"</{name}\s*>", re.IGNORECASE).search(self.text, end)
        if close is None:
            self.unclosed.add(name)
            return end
        self.out.append(self._content(name, self.text[end : close.start()]))
        return close.end()

    def _content(self, name: str, inside: str) -> str:
        if name == "nowiki":
            return self._kept(unescape(inside))
        if name in MATH_TAGS and self.rules.keeps_math:
            return self._kept(f"${' '.join(unescape(inside).split())}$") if inside.strip() else ""
        if name in CODE_TAGS and self.rules.keeps_code:
            return BREAK + self._kept(unescape(inside).strip("\n").rstrip()) + BREAK
        return GAP

    def _kept(self, text: str) -> str:
        self.verbatim.append(text)
        return f"\x02{len(self.verbatim) - 1}\x03"

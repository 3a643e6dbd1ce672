"""text/wikitext_rules: what wiki markup means to a reader: names of tags, namespaces, templates and sections.

Tables only; text/wikitext applies them. Template names are those of the English Wikipedia and of the wikis that took them over;
another wiki's can be added to `Rules.templates`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["BLOCK_TAGS", "CODE_TAGS", "DROPPED_TAGS", "INLINE_TAGS", "MATH_TAGS", "Rules", "scripted"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Extension tags whose content is not prose: https://www.mediawiki.org/wiki/Parser_extension_tags
DROPPED_TAGS = _names(
    "ref references gallery timeline imagemap score hiero graph templatedata templatestyles inputbox categorytree mapframe "
    "maplink section indicator includeonly charinsert rss"
)
MATH_TAGS = _names("math chem ce")
CODE_TAGS = _names("source syntaxhighlight pre")
BLOCK_TAGS = _names("blockquote br caption center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p td th tr ul")
INLINE_TAGS = _names(
    "abbr b bdi bdo big cite code data del dfn em font i ins kbd mark noinclude onlyinclude q rb rp rt rtc ruby s samp small "
    "span strike strong sub sup tbody thead time tt u var wbr"
)

_FILES = _names(
    "file image media datei bild fichier archivo imagen immagine ficheiro imagem bestand afbeelding plik grafika fil tiedosto"
)
_CATEGORIES = _names("category kategorie cat\u00e9gorie categor\u00eda categoria categorie kategoria kategori luokka")

_SECTIONS = (
    *("references", "external links", "see also", "further reading", "notes", "notes and references", "bibliography"),
    *("footnotes", "sources", "citations", "works cited", "references and notes", "gallery", "external link"),
    *("einzelnachweise", "weblinks", "literatur", "siehe auch", "anmerkungen", "quellen", "fu\u00dfnoten"),
    *("notes et r\u00e9f\u00e9rences", "r\u00e9f\u00e9rences", "liens externes", "lien externe", "voir aussi", "bibliographie"),
    *(
        "articles connexes",
        "annexes",
        "referencias",
        "enlaces externos",
        "v\u00e9ase tambi\u00e9n",
        "bibliograf\u00eda",
        "notas",
    ),
    *("note", "collegamenti esterni", "voci correlate", "altri progetti", "bibliografia", "refer\u00eancias"),
    *("liga\u00e7\u00f5es externas", "ver tamb\u00e9m", "bronnen", "externe link", "externe links", "zie ook", "referenties"),
    *("przypisy", "linki zewn\u0119trzne", "zobacz te\u017c", "uwagi", "referenser", "externa l\u00e4nkar", "se \u00e4ven"),
)

# What a template shows, as a pattern of its arguments: `{1}` is the first unnamed one, `{1|text}` that or the one named text.
_FIRST = _names(
    "nowrap nobr nobreak small smaller big larger smallcaps sc abbr unicode math mvar vanchor ill illm nihongo em strong lang- "
    "overline underline strikethrough tooltip linktext sic noitalic noitalics code flag flagcountry flagu mono kbd samp var "
    "resize nobold keypress plainlist xt railgauge"
)
_TEMPLATES = {
    **dict.fromkeys(
        (*_FIRST, "visible anchor", "interlanguage link", "not a typo", "proper name", "number table sorting"), "{1}"
    ),
    **dict.fromkeys(
        ("quote", "blockquote", "cquote", "quotation", "bq", "bquote", "centered pull quote"), "\n{1|text|quote}\n"
    ),
    **dict.fromkeys(("lang", "rtl-lang", "font color", "script", "script/hebrew"), "{2}"),
    **dict.fromkeys(("transl", "transliteration"), "{3|2}"),
    **dict.fromkeys(("circa", "c."), "c. {1}"),
    **dict.fromkeys(("snd", "spnd", "spaced ndash", "spaced en dash", "sndash", "spndash"), " \u2013 "),
    **dict.fromkeys(("ndash", "en dash", "nbndash"), "\u2013"),
    **dict.fromkeys(("mdash", "em dash", "emdash"), "\u2014"),
    **dict.fromkeys(("spaced mdash", "snds", "spaced em dash", "mdashb"), " \u2014 "),
    **dict.fromkeys(("nbsp", "space", "spaces", "thinsp", "thin space", "hair space", "hairsp"), " "),
    **dict.fromkeys(("dot", "middot", "bull", "bullet", "*", "\u00b7"), " \u00b7 "),
    **dict.fromkeys(("angbr", "angle bracket"), "\u27e8{1}\u27e9"),
    **dict.fromkeys(("'", "apos", "apostrophe"), "'"),
    **dict.fromkeys(("'s", "+'s"), "'s"),
    **dict.fromkeys(("!", "pipe"), "|"),
    **{
        "=": "=",
        "pi": "\u03c0",
        "sqrt": "\u221a{1}",
        "e": "\u00d710^{1}",
        "pow": "{1}^{2}",
        "val": "{1} {u|ul}",
        "okina": "\u02bb",
    },
    **{
        "as of": "As of {1}",
        "us$": "US${1}",
        "usd": "${1}",
        "gbp": "\u00a3{1}",
        "pound sterling": "\u00a3{1}",
        "euro": "\u20ac{1}",
    },
    **{"bce": "{1} BCE", "ce": "{1} CE", "bc": "{1} BC", "ad": "AD {1}", "oldstyledate": "{1} [O.S. {3}] {2}"},
    **{"uss": "USS {1}", "hms": "HMS {1}"},
}
_BETWEEN = frozenset({"to", "-", "\u2013", "and", "x", "by", "or", "*", "+/-", "\u00d7"})

_SMALL = "0123456789+-\u2212\u2013=()n"  # characters that Unicode has above and below the line
_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207b\u207b\u207c\u207d\u207e\u207f"
_LOWERED = "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208a\u208b\u208b\u208b\u208c\u208d\u208e\u2099"
_SCRIPTS = {"sup": str.maketrans(_SMALL, _RAISED), "sub": str.maketrans(_SMALL, _LOWERED)}
_CAN_BE_SMALL = re.compile(rf"[{re.escape(_SMALL)}]{{1,12}}")

_SLOT = re.compile(r"\{([^{}]+)\}")
_MOST_ARGUMENTS = 1000
_FEW_ARGUMENTS = 16
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Rules:
    """What `prose` keeps and drops. Names are lower-case."""

    unseen_links: frozenset[str] = _FILES | _CATEGORIES  # namespaces whose links show no text
    dropped_sections: frozenset[str] = frozenset(_SECTIONS)  # with everything below them
    templates: Mapping[str, str] = field(default_factory=lambda: dict(_TEMPLATES))  # others are dropped
    keeps_math: bool = True  # as `$...$`
    keeps_code: bool = True

    def shown(self, inside: str) -> str | None:
        """What a reader sees of a template, given what stands between its braces; None: nothing."""
        name = inside.partition("|")[0].strip().replace("_", " ").lower()
        if name.startswith("formatnum:"):
            return name.partition(":")[2]
        pattern = self.templates.get("lang-" if name.startswith("lang-") else name)
        if pattern is not None:
            return _filled(pattern, inside)
        special = _SPECIAL.get(name) if self.templates else None
        if special is None:
            return None
        return special([part.strip() for part in inside.split("|", _FEW_ARGUMENTS)[1:] if "=" not in part])


def scripted(text: str, place: str) -> str | None:
    """Text above (`sup`) or below (`sub`) the line, in characters of that kind; None when it has others."""
    return text.translate(_SCRIPTS[place]) if _CAN_BE_SMALL.fullmatch(text) else None


def _filled(pattern: str, inside: str) -> str:
    """Fill the slots of a pattern with a template's arguments; one that is not given is empty."""
    arguments: dict[str, str] = {}
    number = 0
    for part in inside.split("|", _MOST_ARGUMENTS)[1:]:
        name, equals, value = part.partition("=")
        is_named = bool(equals) and len(name) < _LONGEST_NAME and "\n" not in name.strip()
        number += not is_named
        arguments[name.strip() if is_named else str(number)] = (value if is_named else part).strip()
    return _SLOT.sub(lambda slot: next((arguments[key] for key in slot.group(1).split("|") if arguments.get(key)), ""), pattern)


def _quantity(parts: list[str]) -> str:
    """`1300|km2|mi` is "1,300 km\u00b2", `10|to|20|km` is "10 to 20 km"."""
    is_range = len(parts) >= 4 and parts[1] in _BETWEEN
    words = parts[:4] if is_range else parts[:2]
    words = [f"{int(word):,}" if word.isascii() and word.isdigit() else word for word in words]
    if words and words[-1][-1:] in ("2", "3") and words[-1][:-1].isalpha():
        words[-1] = words[-1][:-1] + words[-1][-1].translate(_SCRIPTS["sup"])
    return " ".join(words)


def _fraction(parts: list[str]) -> str:
    """`1|2` is "1/2", `3|1|2` is "3 1/2", `2` is "1/2"."""
    if len(parts) >= 3:
        return f"{parts[0]} {parts[1]}/{parts[2]}"
    return "/".join(parts if len(parts) == 2 else ["1", *parts])


def _formula(parts: list[str]) -> str:
    """`H|2|O` is "H\u2082O"."""
    return "".join(scripted(part, "sub") or part for part in parts)


def _raised(parts: list[str]) -> str:
    return "".join(scripted(part, "sup") or part for part in parts[:1])


_SPECIAL: Mapping[str, Callable[[list[str]], str]] = {
    **dict.fromkeys(("convert", "cvt"), _quantity),
    **dict.fromkeys(("frac", "fraction", "sfrac"), _fraction),
    **{"chem": _formula, "sub": _formula, "sup": _raised},
}

"""corpus/filters/licences: keep documents under some licences, whatever way their sources spell them.

The column `licence` is read as an SPDX id (https://spdx.org/licenses), a name in plain words, or the address of a Creative
Commons deed. Ported versions of a Creative Commons licence count as the version they port; expressions (`MIT OR ...`) are not
taken apart. Judges what the source claims: whether the claim is true is not looked into.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from whorl.core.errors import suggestion
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Choice, Figure

__all__ = ["Licences"]

# SPDX id -> other spellings, without punctuation, spaces and the words "license", "version", "the" and "v" (see _key).
_SPELLINGS = {
    "0BSD": "zeroclausebsd",
    "AGPL-3.0": "agpl3 gnuagpl3 gnuafferogeneralpublic3 gnuafferogeneralpublic30 agpl30only agpl30orlater",
    "Apache-2.0": "apache2 asl2 asl20 apachesoftware2 apachesoftware20 apacheorg20",
    "Artistic-2.0": "artistic2",
    "BSD-2-Clause": "bsd2 simplifiedbsd freebsd 2clausebsd",
    "BSD-3-Clause": "bsd3 newbsd modifiedbsd 3clausebsd",
    "BSL-1.0": "boostsoftware10 boostsoftware1 boost10",
    "CC-PDM-1.0": "publicdomainmark publicdomainmark10 pdm10 pdm",
    "CC0-1.0": "cc0 cczero creativecommonszero creativecommonszero10universal cc010universal",
    "CDLA-Permissive-2.0": "",
    "ECL-2.0": "",
    "EPL-2.0": "eclipsepublic20",
    "EUPL-1.2": "",
    "GFDL-1.3": "gfdl gfdl13 gnufreedocumentation gnufreedocumentation13 gfdl13only gfdl13orlater",
    "GPL-2.0": "gpl2 gnugpl2 gnugeneralpublic2 gnugeneralpublic20 gpl20only gpl20orlater",
    "GPL-3.0": "gpl3 gnugpl3 gnugeneralpublic3 gnugeneralpublic30 gpl30only gpl30orlater",
    "ISC": "",
    "LGPL-2.1": "lgpl21 gnulessergeneralpublic21 lgpl21only lgpl21orlater",
    "LGPL-3.0": "lgpl3 gnulgpl3 gnulessergeneralpublic3 lgpl30only lgpl30orlater",
    "LPPL-1.3c": "",
    "MIT": "expat x11mit",
    "MIT-0": "mitnoattribution",
    "MPL-2.0": "mpl2 mozillapublic20 mozillapublic2",
    "ODbL-1.0": "odbl opendatabase opendatabase10",
    "ODC-By-1.0": "odcby opendatacommonsattribution opendatacommonsattribution10",
    "OFL-1.1": "silopenfont11",
    "OGL-UK-3.0": "ogl3 ogl30 opengovernment30 opengovernment3",
    "PDDL-1.0": "pddl publicdomaindedicationand10 opendatacommonspublicdomaindedicationand10",
    "PSF-2.0": "psf psf2 pythonsoftwarefoundation2 pythonsoftwarefoundation",
    "Unlicense": "unlicence",
    "WTFPL": "",
    "Zlib": "",
    "etalab-2.0": "etalab20 licenceouverte20",
    "public-domain": "pd publicdomainus uspublicdomain publicdomainintheusa",
}
_CC_ELEMENTS = ("BY", "BY-SA", "BY-NC", "BY-ND", "BY-NC-SA", "BY-NC-ND")
_CC_VERSIONS = ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0")
_CC_IDS = tuple(f"CC-{terms}{dash}" for terms in _CC_ELEMENTS for dash in ("", *(f"-{v}" for v in _CC_VERSIONS)))

_CC_LIMITS = ("nc", "nd", "sa")  # codespell:ignore nd
_LIMIT = f"(?:{'|'.join(_CC_LIMITS)})"
_CC_ADDRESS = re.compile(
    rf"(?:https?://)?(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/(?P<terms>zero|mark|by(?:-{_LIMIT})*)"
    r"(?:/(?P<version>\d\.\d))?(?:/.*)?"
)
_CC_WORDS = (
    (re.compile(r"attribution"), "cc by "),
    (re.compile(r"non[\s-]*commercial"), f" {_CC_LIMITS[0]} "),
    (re.compile(r"no[\s-]*deriv(?:s|atives?)?(?:[\s-]*works)?"), f" {_CC_LIMITS[1]} "),
    (re.compile(r"share[\s-]*alike"), f" {_CC_LIMITS[2]} "),
    (re.compile(r"creative\s*commons|\blicen[sc]e\b|\bthe\b"), " "),
)
_CC_NAME = re.compile(
    rf"(?:cc[\s_-]*)+(?P<terms>by(?:[\s_-]*{_LIMIT})*)[\s_-]*v?(?P<version>\d(?:\.\d)?)?\s*(?:international|unported|generic)?"
)
_NOISE = re.compile(
    r"^https?://(?:www\.)?(?:(?:opensource|spdx)\.org/licen[sc]es?/|gnu\.org/(?:old-)?licenses/(?:old-licenses/)?)?"
    r"|(?:\.en)?\.(?:html|txt)$|\blicen[sc]es?\b|\bthe\b|\bversion\b|v(?=\d)"
)
_MAX_CHARS = 200  # what is longer is a licence's text, not its name
_DEDICATIONS = {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}


class Licences(Filter):
    """An entry without a version (`CC-BY`) stands for every version. Denied beats allowed."""

    allowed: tuple[str, ...] = ()  # empty: any licence that is recognised
    denied: tuple[str, ...] = ()
    unrecognised: Literal["keep", "drop"] = "drop"  # something is written, and it is none of the licences known here
    missing: Literal["keep", "drop"] = "drop"  # nothing is written

    @field_validator("allowed", "denied")
    @classmethod
    def _entries_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [entry if _covered(entry) else _spdx_id(entry) for entry in value]
        if None in names:
            entry = value[names.index(None)]
            raise ValueError(f"no licence '{entry}'{suggestion(entry, _KNOWN)}")
        return tuple(name for name in names if name)

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures: the SPDX id, or what is written where it is not recognised; null where nothing is."""
        written = pc.utf8_trim_whitespace(batch.column("licence"))
        encoded = pc.if_else(pc.equal(written, ""), pa.scalar(None, pa.string()), written).dictionary_encode()
        spellings = encoded.dictionary.to_pylist()
        ids = [_spdx_id(spelling) for spelling in spellings]
        others = [spelling if spdx is None else None for spelling, spdx in zip(spellings, ids, strict=True)]
        named = {"licences.id": ids, "licences.unrecognised": others}
        return {name: pa.array(values, pa.string()).take(encoded.indices) for name, values in named.items()}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Choice]:
        """See Filter.rules."""
        ids, others = figures["licences.id"], figures["licences.unrecognised"]
        missing = Choice("no_licence", pc.coalesce(ids, others), is_null_allowed=False)
        unrecognised = Choice("unrecognised_licence", others, allowed=frozenset())
        allowed = frozenset(name for entry in self.allowed for name in _covered(entry)) if self.allowed else None
        denied = frozenset(name for entry in self.denied for name in _covered(entry))
        return [
            *([missing] if self.missing == "drop" else []),
            *([unrecognised] if self.unrecognised == "drop" else []),
            *([Choice("denied_licence", ids, denied=denied)] if denied else []),
            *([Choice("other_licence", ids, allowed=allowed)] if allowed is not None else []),
        ]


def _covered(entry: str) -> list[str]:
    """Known ids an entry stands for: itself, and every version of it."""
    return [name for name in _KNOWN if name == entry or (name.startswith(f"{entry}-") and name[len(entry) + 1].isdigit())]


def _spdx_id(written: str) -> str | None:
    """The id a spelling means, or None."""
    text = written.lower()
    if len(text) > _MAX_CHARS:
        return None
    return _BY_KEY.get(_key(text)) or _creative_commons(text)


def _creative_commons(text: str) -> str | None:
    """The whole text has to be the name or the address of a licence: what else it says might take the licence back."""
    found = _CC_ADDRESS.fullmatch(text)
    if found is None:
        for words, short in _CC_WORDS:
            text = words.sub(short, text)
        found = _CC_NAME.fullmatch(text.strip())
    if found is None:
        return None
    terms, version = found["terms"], found["version"]
    if terms in _DEDICATIONS:
        return _DEDICATIONS[terms]
    parts = [limit.upper() for limit in _CC_LIMITS if limit in re.findall(_LIMIT, terms)]
    name = "-".join(["CC-BY", *parts, *([version if "." in version else f"{version}.0"] if version else [])])
    return name if name in _CC_IDS else None


def _key(text: str) -> str:
    """A spelling without what may differ: case, punctuation, and words that say only that it is a licence."""
    return re.sub(r"[^a-z0-9]", "", _NOISE.sub("", text.lower()))


_KNOWN = tuple(sorted([*_SPELLINGS, *_CC_IDS]))
_BY_KEY = {
    **{_key(name): name for name in _KNOWN},
    **{spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()},
}

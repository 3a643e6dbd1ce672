import pytest

from whorl.corpus.filters import Filter

SPELLINGS = {
    "CC-BY-4.0": [
        "cc by 4.0", "CC-BY 4", "Creative Commons Attribution 4.0 International License", "Attribution 4.0 International",
        "http://creativecommons.org/licenses/by/4.0/", "https://www.creativecommons.org/licenses/by/4.0/legalcode.de",
    ],
    "CC-BY-SA-3.0": [
        "CC BY-SA 3.0 Unported", "Creative Commons Attribution-ShareAlike 3.0", "creativecommons.org/licenses/by-sa/3.0/us/",
    ],
    "CC-BY-NC-ND-4.0": ["CC BY-NC-ND 4.0", "Attribution-NonCommercial-NoDerivatives 4.0 International"],
    "CC-BY-NC-SA-2.0": ["cc_by_nc_sa_2.0", "Attribution Non Commercial Share Alike 2.0 Generic"],
    "CC-BY": ["CC BY", "https://creativecommons.org/licenses/by/"],
    "CC0-1.0": ["CC0", "cc zero", "CC0 1.0 Universal", "https://creativecommons.org/publicdomain/zero/1.0/"],
    "CC-PDM-1.0": ["https://creativecommons.org/publicdomain/mark/1.0/", "Public Domain Mark 1.0"],
    "Apache-2.0": ["Apache License, Version 2.0", "apache 2", "https://www.apache.org/licenses/LICENSE-2.0.html", "ASL 2.0"],
    "MIT": ["The MIT License", "https://opensource.org/licenses/MIT", "mit license"],
    "GPL-3.0": ["GPLv3", "GNU General Public License v3.0", "GPL-3.0-or-later", "https://www.gnu.org/licenses/gpl-3.0.en.html"],
    "BSD-3-Clause": ["BSD 3-Clause License", "New BSD"],
    "PSF-2.0": ["PSF-2.0", "Python Software Foundation License"],
    "public-domain": ["Public Domain", "US Public Domain"],
}  # fmt: skip
# What names a licence and says more, or nothing at all, is not recognised: it might take the licence back.
OTHERS = [
    "All rights reserved", "not CC BY", "CC BY 4.0 for text, images all rights reserved", "MIT OR Apache-2.0", "by-sa", "CC",
    "CC BY 9.9", "https://creativecommons.org/licenses/sampling+/1.0/", "https://evil.example/creativecommons.org/licenses/by/4.0/",
    "see footer", "?", "MIT\n" * 100,
]  # fmt: skip


def figures_of(verdict_on, licence):
    """What the licence was taken for, read from the reasons of a filter that keeps nothing but what it names."""
    found = verdict_on({"use": "licences", "denied": list(SPELLINGS), "missing": "keep"}, ["text"], licence=[licence])
    return found.reason[0].as_py(), found.detail[0].as_py()


@pytest.mark.parametrize(
    ("spdx", "spelling"), [(spdx, one) for spdx, spellings in SPELLINGS.items() for one in [spdx, *spellings]]
)
def test_a_usual_spelling_means_the_spdx_id(verdict_on, spdx, spelling):
    reason, detail = figures_of(verdict_on, f" {spelling} ")
    assert reason == "denied_licence"
    assert detail.startswith(f"{spdx}, want none of")


@pytest.mark.parametrize("written", OTHERS)
def test_anything_else_is_not_recognised_and_shown(verdict_on, written):
    assert figures_of(verdict_on, written) == ("unrecognised_licence", f"{written.strip()}, want one of none")


def test_by_default_only_recognised_licences_are_kept(verdict_on):
    found = verdict_on({"use": "licences"}, ["text"] * 4, licence=["MIT", "see footer", None, " "])
    assert found.reason.to_pylist() == [None, "unrecognised_licence", "no_licence", "no_licence"]


def test_unknown_licences_can_be_let_through(verdict_on):
    config = {"use": "licences", "unrecognised": "keep", "missing": "keep", "allowed": ["MIT"]}
    found = verdict_on(config, ["text"] * 4, licence=["MIT", "see footer", None, "GPLv3"])
    assert found.reason.to_pylist() == [None, None, None, "other_licence"]


def test_an_entry_without_a_version_stands_for_all_of_them(verdict_on):
    config = {"use": "licences", "allowed": ["CC-BY", "GPL"]}
    licences = ["CC BY 2.5", "CC BY", "CC BY-SA 4.0", "GPLv2", "LGPL-3.0"]
    found = verdict_on(config, ["text"] * 5, licence=licences)
    assert found.is_kept.tolist() == [True, True, False, True, False]


def test_an_entry_with_a_version_stands_for_itself(verdict_on):
    found = verdict_on({"use": "licences", "allowed": ["CC-BY-4.0"]}, ["text"] * 3, licence=["CC BY 4.0", "CC BY 3.0", "CC BY"])
    assert found.is_kept.tolist() == [True, False, False]


def test_denied_beats_allowed(verdict_on):
    config = {"use": "licences", "allowed": ["CC-BY"], "denied": ["CC-BY-2.0"]}
    found = verdict_on(config, ["text"] * 2, licence=["CC BY 2.0", "CC BY 4.0"])
    assert found.reason.to_pylist() == ["denied_licence", None]


def test_entries_are_read_like_the_column():
    assert Filter.model_validate({"use": "licences", "allowed": ["cc by 4.0", "Apache 2"]}).allowed == (
        "CC-BY-4.0",
        "Apache-2.0",
    )
    with pytest.raises(ValueError, match="no licence 'MITT'; did you mean 'MIT'"):
        Filter.model_validate({"use": "licences", "denied": ["MITT"]})

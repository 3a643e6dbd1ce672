import pytest

from whorl.core.errors import ArtifactError, ConfigError, DataError, ResourceError, UsageError, WhorlError, suggestion


def test_the_five_errors_end_a_command_with_their_exit_code() -> None:
    codes = {kind.__name__: kind("x").exit_code for kind in WhorlError.__subclasses__()}
    assert codes == {"ConfigError": 3, "UsageError": 3, "DataError": 1, "ArtifactError": 1, "ResourceError": 1}
    assert {ConfigError, UsageError, DataError, ArtifactError, ResourceError} == set(WhorlError.__subclasses__())


@pytest.mark.parametrize(
    ("got", "known", "clause"),
    [
        ("min_word", ["min_words", "max_words"], "; did you mean 'min_words'?"),
        ("zebra", ("b", "a"), "; known: a, b"),
        ("zebra", [], ""),
    ],
)
def test_a_suggestion_names_the_nearest_word_or_all_of_them(got: str, known: list[str], clause: str) -> None:
    assert suggestion(got, known) == clause

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from whorl.core.config import Config
from whorl.core.quantity import Bytes, Length, Seconds, size_bytes


@pytest.mark.parametrize(
    ("written", "length", "spelling"),
    [
        ("2M tokens", Length(2_000_000, "tokens"), "2000000 tokens"),
        ("2.3M tokens", Length(2_300_000, "tokens"), "2300000 tokens"),
        ("1234567 tokens", Length(1_234_567, "tokens"), "1234567 tokens"),
        ("1 token", Length(1, "tokens"), "1 tokens"),
        ("400 steps", Length(400, "steps"), "400 steps"),
        ("4k steps", Length(4000, "steps"), "4000 steps"),
        ("0.5 epochs", Length(0.5, "epochs"), "0.5 epochs"),
        ("3h", Length(10_800, "seconds"), "10800s"),
        ("90 min", Length(5400, "seconds"), "5400s"),
    ],
)
def test_a_length_reads_amount_scale_and_unit(written: str, length: Length, spelling: str) -> None:
    assert Length.parse(written) == length
    assert str(length) == spelling


@given(
    amount=st.one_of(st.integers(0, 10**15), st.floats(0, 1e15)), unit=st.sampled_from(["tokens", "steps", "epochs", "seconds"])
)
def test_a_length_survives_its_own_spelling(amount: float, unit: str) -> None:
    length = Length(float(amount), unit)  # type: ignore[arg-type]
    assert Length.parse(str(length)) == length


@pytest.mark.parametrize("written", ["2M", "tokens", "2 parsecs", "2 q tokens", "-2 tokens", "", 3, None, True])
def test_a_length_without_a_known_unit_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="want an amount with a unit, like '2M tokens'"):
        Length.parse(written)


def test_a_length_is_a_field_of_a_config() -> None:
    class Fit(Config):
        length: Length

    assert Fit.model_validate({"length": "3 epochs"}).length == Length(3, "epochs")
    assert Fit(length=Length(3, "epochs")) == Fit.model_validate({"length": "3 epochs"})
    assert Fit.model_json_schema()["properties"]["length"]["type"] == "string"


@pytest.mark.parametrize(
    ("written", "size"), [("40GB", 40 * 10**9), ("512kb", 512_000), ("2.3MB", 2_300_000), ("7 B", 7), (12, 12), (0, 0)]
)
def test_a_size_is_in_bytes_and_exact(written: object, size: int) -> None:
    assert size_bytes(written) == size
    assert TypeAdapter(Bytes).validate_python(written) == size


@pytest.mark.parametrize("written", ["40", "40 G B", "GB", 1.5, True, -1, None, "40GiB"])
def test_a_size_without_a_known_unit_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="want a size like '40GB'"):
        size_bytes(written)


def test_a_fraction_of_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        size_bytes("1.0001KB")


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30.0), ("15min", 900.0), ("1.5h", 5400.0), ("2 d", 172_800.0), (4, 4.0)]
)
def test_a_duration_is_in_seconds(written: object, seconds: float) -> None:
    assert TypeAdapter(Seconds).validate_python(written) == seconds


@pytest.mark.parametrize("written", ["30", "s", "3 weeks", "3 h x", True, -1, float("inf"), float("nan")])
def test_a_duration_without_a_known_unit_is_refused(written: object) -> None:
    with pytest.raises(ValidationError, match="want a duration like '30s'"):
        TypeAdapter(Seconds).validate_python(written)

import bz2
import gzip
import io
import lzma
import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from whorl.corpus.unpack import Unreadable, is_packed, unpacked

PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
LIMITS = {"max_bytes": 10**9, "max_ratio": 200}
WORDS = b" ".join(b"%x" % pow(7, n, 10**9) for n in range(60_000))


def read_all(raw, name, **limits):
    """Everything that comes out, and the fault it ended with."""
    got = []
    try:
        with unpacked(io.BytesIO(raw), name, **{**LIMITS, **limits}) as stream:
            while piece := stream.read1(70_000):
                got.append(piece)
    except Unreadable as fault:
        return b"".join(got), fault.reason
    return b"".join(got), None


@pytest.mark.parametrize("suffix", PACK)
@given(data=st.binary(max_size=2000), members=st.integers(0, 3), padding=st.integers(0, 9))
def test_members_one_after_another_are_one_content(suffix, data, members, padding):
    tail = b"" if suffix == ".zst" else b"\0" * padding  # zstd has frames that may be skipped instead
    assert read_all(PACK[suffix](data) * members + tail, f"a{suffix}") == (data * members, None)


@pytest.mark.parametrize("suffix", PACK)
def test_everything_before_a_cut_is_handed_over_before_the_cut_is_reported(suffix):
    packed = PACK[suffix](WORDS)
    got, reason = read_all(packed[: len(packed) * 3 // 4], f"a{suffix}")
    assert reason == "truncated"
    assert WORDS.startswith(got)
    if suffix != ".bz2":  # one block of bzip2 is longer than this text
        assert len(got) > len(WORDS) // 2


@pytest.mark.parametrize("suffix", PACK)
def test_a_whole_member_before_a_damaged_one_is_kept(suffix):
    packed = PACK[suffix](WORDS)
    assert read_all(packed + packed[:100] + bytes(50) + packed[150:], f"a{suffix}")[0].startswith(WORDS)
    got, reason = read_all(packed + b"no member at all", f"a{suffix}")
    assert (got, reason) == (WORDS, "damaged")


@pytest.mark.parametrize("suffix", PACK)
def test_what_is_not_compressed_as_its_name_says_is_damaged(suffix):
    assert read_all(b"plain text, not packed", f"a{suffix}") == (b"", "damaged")


@pytest.mark.parametrize("suffix", PACK)
def test_a_stream_that_unpacks_to_too_much_is_a_bomb_and_never_held(suffix):
    bomb = PACK[suffix](bytes(40_000_000))
    got, reason = read_all(bomb, f"a{suffix}")
    assert reason == "bomb"
    assert 15_000_000 < len(got) < 17_000_000
    assert read_all(bomb, f"a{suffix}", max_ratio=10**9) == (bytes(40_000_000), None)
    assert read_all(bomb, f"a{suffix}", max_ratio=10**9, max_bytes=1_000_000)[1] == "bomb"


def test_a_short_file_of_one_repeated_line_is_no_bomb():
    packed = gzip.compress(b"the same line\n" * 100_000, mtime=0)
    assert len(packed) * 200 < 1_400_000
    assert read_all(packed, "a.gz") == (b"the same line\n" * 100_000, None)


def test_a_name_without_a_known_suffix_is_read_as_it_is():
    assert read_all(gzip.compress(b"x", mtime=0), "a.txt") == (gzip.compress(b"x", mtime=0), None)
    assert [is_packed(name) for name in ("a.jsonl.GZ", "a.zst", "a.gz.txt", "a")] == [True, True, False, False]


@pytest.mark.parametrize("is_packed_too", [True, False])
def test_a_dictionary_before_the_first_frame_is_used(is_packed_too):
    pages = [b"<html><head><title>%d</title></head><body>words of page %d</body></html>" % (n, n * n) for n in range(2000)]
    dictionary = zstandard.train_dictionary(4000, pages)
    held = dictionary.as_bytes()
    held = zstandard.ZstdCompressor().compress(held) if is_packed_too else held
    frames = [zstandard.ZstdCompressor(dict_data=dictionary).compress(page) for page in pages[:5]]
    raw = b"\x5d\x2a\x4d\x18" + len(held).to_bytes(4, "little") + held + b"".join(frames)
    assert read_all(raw, "a.warc.zst") == (b"".join(pages[:5]), None)
    assert read_all(raw[:-20], "a.warc.zst")[1] == "truncated"


class _Dying(io.BytesIO):
    def read(self, size=-1, /):
        piece = super().read(1000 if size > 1000 else size)
        if not piece:
            raise OSError(5, "Input/output error")
        return piece


@pytest.mark.parametrize("name", ["a.txt", "a.gz", "a.zst"])
def test_a_fault_of_the_disk_is_a_finding(name):
    packed = PACK.get(name[1:], bytes)(random.Random(0).randbytes(5000) * 100)
    with pytest.raises(Unreadable) as caught:
        unpacked(_Dying(packed[:5000]), name, **LIMITS).read()
    assert (caught.value.reason, caught.value.detail) == ("unreadable", "after 5000 bytes: Input/output error")


def test_closing_closes_the_file():
    for name in ("a.txt", "a.gz", "a.zst"):
        raw = io.BytesIO(PACK.get(name[1:], bytes)(b"x"))
        with unpacked(raw, name, **LIMITS) as stream:
            stream.read()
        assert raw.closed

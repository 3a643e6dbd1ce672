import gzip
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whorl.corpus.unpack import Unreadable, unpacked
from whorl.corpus.warc_records import warc_records


def record(number, body=b"some words", **changes):
    """One record; `length`, `version` and `end` may be told wrong."""
    length = changes.get("length", str(len(body)).encode())
    head = [
        changes.get("version", b"WARC/1.0"),
        b"WARC-Type: response",
        b"WARC-Record-ID: <urn:x:%d>" % number,
        *([b"Content-Length: " + length] if length is not None else []),
        *changes.get("more", ()),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body + changes.get("end", b"\r\n\r\n")


def read(data, most=10_000):
    """Ids with faults, in order; an id alone is a sound record."""
    found = list(warc_records(io.BytesIO(data), most))
    return [" ".join(filter(None, [item.headers.get("warc-record-id", "")[7:-1], item.fault])) for item in found]


def test_records_come_with_headers_body_and_place():
    first, second = warc_records(
        io.BytesIO(record(1) + record(2, b"WARC/1.0 is a format\r\n", more=[b"X: a", b"  b", b"X2:"])), 99
    )
    assert (first.offset, first.kind, first.body, first.fault) == (0, "response", b"some words", "")
    assert second.offset == len(record(1))
    assert second.headers["x"] == "a b"
    assert second.headers["x2"] == ""
    assert second.body == b"WARC/1.0 is a format\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\r\n\n\r\n", []),
        (b"garbage", ["malformed"]),
        (record(1) + b"garbage\r\nmore\r\n" + record(2), ["1", "malformed", "2"]),
        (b"garbage\n" + record(1), ["malformed", "1"]),
        (record(1, version=b"WARX/1.0") + record(2), ["malformed", "2"]),
        (record(1, version=b"WARC/0.18") + record(2, version=b"WARC/1.1"), ["1", "2"]),
        (record(1, end=b"") + record(2, end=b"\n"), ["1", "2"]),
        (record(1).replace(b"\r\n", b"\n") + record(2), ["1", "2"]),
        (record(1, length=b"abc") + record(2), ["1 malformed", "malformed", "2"]),
        (record(1, length=b"-5") + record(2), ["1 malformed", "malformed", "2"]),
        (record(1, length=b"9" * 30) + record(2), ["1 malformed", "malformed", "2"]),
        (record(1, length=None) + record(2), ["1 malformed", "malformed", "2"]),
        (record(1, length=b"4") + record(2), ["1 bad_length", "2"]),
        (record(1, b"a", length=b"13") + record(2), ["1 bad_length", "2"]),  # up to the end of the next version line
        (record(1, length=b"30") + record(2) + record(3), ["1 bad_length", "2", "3"]),
        (record(1, length=b"5000") + record(2) + record(3), ["1 truncated", "2", "3"]),
        (record(1, length=b"50000") + record(2), ["1 truncated"]),  # longer than what may be held: not looked through
        (record(1, b"x" * 20_000) + record(2), ["1 too_large", "2"]),
        (record(1, more=[b"no colon", b"NUL: \0"]) + record(2), ["1", "2"]),
        (record(1, more=[b"Long: " + b"y" * 100_000]) + record(2), ["1", "2"]),
        (record(1) + b"WARC/1.0\r\nWARC-Type: resp\r\n" + record(2), ["1", "malformed", "2"]),
        (record(1) + record(2)[:-20], ["1", "2 truncated"]),
        (record(1) + record(2)[:30], ["1", "truncated"]),
        (record(1) + record(2)[:-4], ["1", "2"]),
    ],
)
def test_whatever_is_no_record_is_an_item_with_a_fault(data, expected):
    assert read(data) == expected


def test_a_header_without_end_is_not_held():
    found = list(warc_records(io.BytesIO(b"WARC/1.0\r\n" + b"A: b\r\n" * 400_000), 10))
    assert [item.fault for item in found] == ["truncated", "malformed"]


def test_a_stream_that_breaks_off_gives_its_reason_once():
    packed = gzip.compress(record(1) + record(2), mtime=0)
    for cut, expected in ((4, ["1", "2", "truncated"]), (12, ["1", "2 truncated"])):
        with unpacked(io.BytesIO(packed[:-cut]), "a.gz", max_bytes=10**6, max_ratio=10) as stream:
            faults = [item.fault for item in warc_records(stream, 1000)]
        assert len(faults) == len(expected)
        assert faults.count("truncated") == 1


def test_wrong_lengths_everywhere_are_read_in_linear_time():
    data = b"WARC/1.0\r\nContent-Length: 900001\r\n\r\n" * 27_000
    found = list(warc_records(io.BytesIO(data), 1_000_000))
    assert {item.fault for item in found} == {"bad_length", "truncated", "malformed"}
    assert 250 < len(found) < 400  # 256 MB of 0.9 MB each, then on without looking back


BODIES = st.lists(st.binary(max_size=60) | st.just(b"HTTP/1.1 200 OK\r\n\r\n<p>words"), min_size=1, max_size=5)


@given(bodies=BODIES, data=st.data())
def test_a_cut_loses_only_the_record_it_falls_into(bodies, data):
    records = [record(number, body) for number, body in enumerate(bodies)]
    cut = data.draw(st.integers(0, sum(map(len, records))))
    found = list(warc_records(io.BytesIO(b"".join(records)[:cut]), 1000))
    ends = [sum(map(len, records[: i + 1])) - 4 for i in range(len(records))]  # the blank lines after a body may be missing
    whole = sum(end <= cut for end in ends)
    assert [item.body for item in found if not item.fault] == bodies[:whole]
    is_inside = whole < len(records) and cut > (ends[whole - 1] + 4 if whole else 0)
    assert {item.fault for item in found[whole:]} <= {"truncated", "malformed"}
    assert len(found) == whole + is_inside


@given(bodies=BODIES, data=st.data())
def test_damage_is_accounted_for_and_touches_nothing_before_it(bodies, data):
    """Overwrite, insert or remove bytes anywhere."""
    records = [record(number, body) for number, body in enumerate(bodies)]
    sound = b"".join(records)
    at = data.draw(st.integers(0, len(sound)))
    gone, added = data.draw(st.integers(0, 20)), data.draw(st.binary(max_size=20) | st.just(b"\r\n\r\nWARC/1.0\r\n"))
    found = list(warc_records(io.BytesIO(sound[:at] + added + sound[at + gone :]), 1000))
    ends = [sum(map(len, records[: i + 1])) for i in range(len(records))]
    before = sum(end <= at for end in ends)
    assert [item.body for item in found[:before] if not item.fault] == bodies[:before]
    starts = [end - len(one) for end, one in zip(ends, records, strict=True)]
    after = {number for number, start in enumerate(starts) if start >= at + gone + 2}  # its line end still stands before it
    named = {item.headers.get("warc-record-id", "") for item in found}
    assert {f"<urn:x:{number}>" for number in after} <= named


@given(
    data=st.binary(max_size=300)
    | st.lists(st.sampled_from([record(1), b"WARC/1.0\r\n", b"\r\n", b"Content-Length: 7", b"x"])).map(b"".join)
)
@example(data=b"WARC/1.0\r\nContent-Length: 3\r\n\r\nWARC/1.0\r\nContent-Length: 999\r\n\r\n")
def test_any_bytes_are_records_and_faults_and_nothing_is_left_unsaid(data):
    found = list(warc_records(io.BytesIO(data), 100))
    assert bool(found) == bool(data.strip(b"\r\n"))
    assert [item.offset for item in found] == sorted(item.offset for item in found)


class _Breaking(io.RawIOBase):
    """Gives some bytes, then a finding."""

    def __init__(self, data):
        self._inner = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._inner.read(len(buffer))
        if not piece:
            raise Unreadable("damaged", "here")
        buffer[: len(piece)] = piece
        return len(piece)


@given(cut=st.integers(0, 2 * len(record(1))))
def test_damage_of_the_stream_is_one_item(cut):
    found = list(warc_records(io.BufferedReader(_Breaking((record(1) * 2)[:cut])), 1000))
    assert [item.fault for item in found if item.fault] == ["damaged"]
    assert sum(not item.fault for item in found) == sum(cut >= end - 4 for end in (len(record(1)), 2 * len(record(1))))

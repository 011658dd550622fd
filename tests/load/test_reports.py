"""Reports as bytes: the same back, few, and safe to read whatever comes."""

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import done

from rascal.errors import CoordinationError
from rascal.load.recorder import Recorder
from rascal.load.reports import (
    MAX_BYTES,
    MAX_PAYLOAD,
    VERSION,
    ReportError,
    decode,
    encode,
)
from rascal.load.types import OUTCOMES, Event, Meters, Report, Row, Sample

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(10**9), 10**12)
counts = st.dictionaries(st.one_of(st.sampled_from(OUTCOMES), names), numbers, max_size=5)
millionths = st.integers(0, 10**9).map(lambda number: number / 1_000_000)
plain = st.dictionaries(names, st.one_of(st.integers(), st.booleans(), names, st.none()))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    row = Row()
    for name in ("planned", "started", "dropped", "reduced", "attempts", "replies", "sent"):
        setattr(row, name, draw(numbers))
    row.outcomes, row.failures, row.lanes = draw(counts), draw(counts), draw(counts)
    for name in ("served", "explicit", "served_actual", "explicit_actual"):
        for value, times in draw(
            st.lists(st.tuples(st.integers(0, 10**9), st.integers(-5, 50)), max_size=8)
        ):
            getattr(row, name).record(value, times)
    if draw(st.booleans()):
        row.served_actual = row.served.copy()
    return row


@st.composite
def reports(draw: st.DrawFn) -> Report:
    meters = Meters(
        in_flight=draw(numbers),
        users=draw(st.integers(0, 10**6)),
        begun=draw(st.integers(0, 10**6)),
        cpu=draw(millionths),
        busy=draw(millionths),
        lag=draw(millionths),
        gc=draw(millionths),
        connections=draw(st.integers(0, 10**6)),
        reused_lost=draw(st.integers(0, 10)),
        unsound=tuple(draw(st.lists(names, max_size=3))),
    )
    for value in draw(st.lists(st.integers(0, 10**7), max_size=8)):
        meters.lateness.record(value)
    second = draw(st.integers(0, 10**6))
    return Report(
        run=draw(names),
        agent=draw(names),
        sequence=draw(st.integers(0, 10**8)),
        second=second,
        rows=draw(
            st.dictionaries(
                st.tuples(st.sampled_from(("flow", "scenario")), names, st.integers(0, second + 5)),
                rows(),
                max_size=4,
            )
        ),
        meters=meters,
        samples=draw(
            st.lists(
                st.builds(Sample, second=millionths, flow=names, outcome=names, detail=names),
                max_size=2,
            )
        ),
        events=draw(
            st.lists(st.builds(Event, second=millionths, kind=names, text=names, data=plain))
        ),
        last=draw(st.booleans()),
    )


def plain_row(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in Row.__slots__}


@settings(max_examples=60)
@given(reports())
def test_the_same_comes_back(report: Report) -> None:
    found = decode(encode(report))
    assert {key: plain_row(row) for key, row in found.rows.items()} == {
        key: plain_row(row) for key, row in report.rows.items()
    }
    found.rows = report.rows = {}
    assert found == report


def busy(flows: int, *, scenario: bool, spread: float = 0.7, rate: int = 1000) -> Report:
    """A second like in life: Poisson arrivals, some late, some calls of the second before."""
    recorder = Recorder("20260101-17", "worker-1.example:4711")
    chance = random.Random(3)
    done(recorder, "flow-0", 4.999)
    recorder.report(4, Meters())
    for number in range(flows):
        for _ in range(rate):
            took = chance.lognormvariate(-4, spread)
            intended = 6.0 - took - chance.random()
            outcome = "served" if chance.random() < 0.98 else chance.choice(OUTCOMES[:-1])
            done(recorder, f"flow-{number}", intended, took, outcome, late=chance.random() * 1e-3)
    for _ in range(rate if scenario else 0):
        took = chance.lognormvariate(-3, spread)
        recorder.planned("shopper", 5.5)
        recorder.iteration("shopper", 5.5 - took / 2, 5.5005 - took / 2, 5.5 + took / 2)
    meters = Meters(in_flight=30, users=1000, cpu=0.43, busy=0.41, lag=0.0021, connections=2)
    for _ in range(rate):
        meters.lateness.record(int(chance.random() * 1200))
    return recorder.report(5, meters)


@pytest.mark.parametrize("spread", [0.2, 0.7, 1.0])
def test_a_thousand_calls_of_a_flow_take_under_a_kilobyte(spread: float) -> None:
    report = busy(1, scenario=False, spread=spread)
    whole = len(encode(report))
    report.rows = {}
    assert whole - len(encode(report)) < 850  # the flow alone
    assert whole < 1100  # with the agent's meters, its lateness above all
    assert len(encode(busy(5, scenario=True, spread=spread))) < 5 * 1000


def test_an_empty_report_takes_next_to_nothing() -> None:
    recorder = Recorder("20260101-17", "worker-1.example:4711")
    assert len(encode(recorder.report(0, Meters()))) < 80


def test_another_version_is_named() -> None:
    data = bytearray(encode(busy(1, scenario=False, rate=1)))
    data[2] = VERSION + 1
    with pytest.raises(ReportError, match=f"of version {VERSION + 1}, this process reads"):
        decode(bytes(data))
    assert issubclass(ReportError, CoordinationError)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_error(data: bytes) -> None:
    for one in (data, b"RL\x01" + data, b"RL\x01" + zlib.compress(data)):
        with pytest.raises(ReportError):
            decode(one)


@settings(max_examples=40)
@given(reports(), st.data())
def test_a_changed_payload_is_an_error_or_a_report(report: Report, data: st.DataObject) -> None:
    payload = bytearray(zlib.decompress(encode(report)[3:]))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    payload = payload[: data.draw(st.integers(1, len(payload)))]
    try:
        found = decode(b"RL\x01" + zlib.compress(payload))
    except ReportError:
        return
    assert isinstance(found, Report)
    assert all(isinstance(sample.second, float | int) for sample in found.samples)


def test_cut_off_bytes_are_an_error() -> None:
    data = encode(busy(1, scenario=True, rate=20))
    for size in range(len(data)):
        with pytest.raises(ReportError):
            decode(data[:size])
    with pytest.raises(ReportError):
        decode(data + b"x")


def test_a_bomb_is_defused() -> None:
    bomb = zlib.compress(bytes(MAX_PAYLOAD + 1), 9)
    assert len(bomb) < 100_000
    with pytest.raises(ReportError, match="unpack"):
        decode(b"RL\x01" + bomb)
    with pytest.raises(ReportError, match="at most"):
        decode(b"RL\x01" + bytes(MAX_BYTES))


def test_a_mean_number_is_not_believed() -> None:
    """Counts far above what is there: refused before anything is made of them."""
    head = b"\x01r\x01a\x00\x00\x00" + bytes(9) + b"\x00" + b"\x00"
    good = b"RL\x01" + zlib.compress(head + b"\x00\x00\x00")
    assert decode(good).run == "r"
    for tail in (b"\xff\xff\xff\x7f", b"\x00\xff\xff\xff\x7f", b"\x00\x00\xff\xff\xff\x7f"):
        with pytest.raises(ReportError):
            decode(b"RL\x01" + zlib.compress(head + tail))


@pytest.mark.parametrize(
    "extras",
    [
        b"[]",
        b'{"samples": 1}',
        b'{"samples": [1]}',
        b'{"samples": [{"second": "x", "flow": "f", "outcome": "o", "detail": ""}]}',
        b'{"samples": [{"flow": "f"}]}',
        b'{"events": [{"second": 1, "kind": "k", "text": "t", "data": []}]}',
        b'{"events": [{"second": 1, "kind": "k", "text": "t", "more": 1}]}',
        b"{" * 5000,
        b"[" * 100_000,
    ],
)
def test_samples_and_events_are_read_with_care(extras: bytes) -> None:
    head = b"\x01r\x01a\x00\x00\x00" + bytes(9) + b"\x00" + b"\x00" + b"\x00\x00"
    size = bytearray()
    number = len(extras)
    while number > 127:
        size.append(number & 127 | 128)
        number >>= 7
    size.append(number)
    with pytest.raises(ReportError):
        decode(b"RL\x01" + zlib.compress(head + bytes(size) + extras))


def test_numbers_that_are_none_do_not_stop_a_report() -> None:
    report = Report(run="r", agent="a", sequence=0, second=0)
    report.meters = Meters(cpu=float("nan"), lag=float("inf"))
    found = decode(encode(report)).meters
    assert found.cpu == 0.0 and found.lag == 1e6


def test_the_bytes_are_what_they_were() -> None:
    """A change of the format needs another VERSION: agents and stores keep these bytes."""
    recorder = Recorder("17", "one")
    done(recorder, "cart", 0.25, took=0.5, late=0.125)
    done(recorder, "cart", 0.5, took=0.001, outcome="shed")
    payload = zlib.decompress(encode(recorder.report(0, Meters(), last=True))[3:])
    assert payload.hex() == WANTED


WANTED = (
    "023137036f6e65000001000004000000000000000001046361727401000000020404000004049003b0090201020a"
    "02000002d0a54ce99226e9922601980d011002d00fe907e90701fa03011002c0843da1c21ea1c21e01f40c011000"
)

"""Reports as bytes: what an agent sends once a second, and a store keeps.

    b"RL" version  zlib(payload)

    payload   run agent sequence second flags meters names rows extras
    rows      count { kind name second row }: the name by number, the second back from the
              report's
    row       flags counters outcomes failures lanes histograms
    extras    samples, events, deadlines as JSON, mostly nothing

Numbers are varints, zigzag where they can be negative (a row may take back what an earlier one
counted). Texts are UTF-8 behind their length. Whoever decodes is safe from any bytes: a bound is
reached with a ReportError, never with memory. An agent of another version is told apart by the
third byte.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rascal.errors import CoordinationError
from rascal.histogram import Histogram, put, put_signed, take, take_signed
from rascal.load.types import OUTCOMES, Event, FlowKind, Meters, Report, Row, Sample

VERSION = 1
MAX_BYTES = 4 << 20
"""Of an encoded report."""
MAX_PAYLOAD = 32 << 20
MAX_ROWS = 50_000
MAX_ITEMS = 1000
"""Samples, events, names of a map."""
MAX_TEXT = 1000
MAX_SECOND = 10**9
_MAGIC = b"RL"
_KINDS: Sequence[FlowKind] = ("flow", "scenario")
_COUNTERS = ("planned", "started", "dropped", "reduced", "attempts", "replies", "sent", "received")
_MAPS = ("outcomes", "failures", "lanes")
_METERS = ("in_flight", "users", "begun", "connections", "reused_lost")
_SHARES = ("cpu", "busy", "lag", "gc")
_SAME_SERVED, _SAME_EXPLICIT = 1, 2
_WORDS = (*OUTCOMES, "treq", "other", "fast")
"""Keys of maps that are sent as a number; others as text. New ones go at the end."""
_NUMBERS = {word: number for number, word in enumerate(_WORDS, 1)}
_MICRO = 1_000_000


class ReportError(CoordinationError):
    """These bytes are no report, or one of another version."""


def encode(report: Report) -> bytes:
    """The report as bytes. Shares and lag are rounded to a millionth."""
    out = bytearray()
    _put_text(out, report.run)
    _put_text(out, report.agent)
    put(out, report.sequence)
    put_signed(out, report.second)
    put(out, int(report.last))
    put_meters(out, report.meters)
    names = {name: number for number, name in enumerate({key[1]: None for key in report.rows})}
    put(out, len(names))
    for name in names:
        _put_text(out, name)
    put(out, len(report.rows))
    for (kind, name, second), row in report.rows.items():
        put(out, _KINDS.index(kind))
        put(out, names[name])
        put_signed(out, report.second - second)
        put_row(out, row)
    extras = b""
    if report.samples or report.events or report.owners:
        held: dict[str, Any] = {
            "samples": [attrs.asdict(sample) for sample in report.samples],
            "events": [attrs.asdict(event) for event in report.events],
        }
        if report.owners:
            held |= {"owners": report.owners, "deadlines": report.deadlines}
        extras = json.dumps(held, separators=(",", ":"), default=str).encode()
    put(out, len(extras))
    out += extras
    return _MAGIC + bytes((VERSION,)) + _packed(out)


def decode(data: bytes) -> Report:
    """The report that these bytes hold.

    Raises:
        ReportError: they hold none, or one of another version.
    """
    try:
        return _decode(_payload(data))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, ReportError):
            raise
        raise ReportError(f"these bytes are no report: {error}") from error


def put_row(out: bytearray, row: Row) -> None:
    """Append a row."""
    flags = _SAME_SERVED * (row.served == row.served_actual)
    flags |= _SAME_EXPLICIT * (row.explicit == row.explicit_actual)
    put(out, flags)
    for name in _COUNTERS:
        put_signed(out, getattr(row, name))
    for name in _MAPS:
        counts: Mapping[str, int] = getattr(row, name)
        put(out, len(counts))
        for key, times in counts.items():
            number = _NUMBERS.get(key, 0)
            put(out, number)
            if not number:
                _put_text(out, key)
            put_signed(out, times)
    out += row.served.encode()
    out += row.explicit.encode()
    if not flags & _SAME_SERVED:
        out += row.served_actual.encode()
    if not flags & _SAME_EXPLICIT:
        out += row.explicit_actual.encode()


def take_row(data: bytes, at: int) -> tuple[Row, int]:
    """The row at `at`, and where it ends.

    Raises:
        ValueError: there is none.
    """
    row = Row()
    flags, at = take(data, at)
    for name in _COUNTERS:
        value, at = take_signed(data, at)
        setattr(row, name, value)
    for name in _MAPS:
        counts: dict[str, int] = getattr(row, name)
        size, at = _take_size(data, at, MAX_ITEMS)
        for _ in range(size):
            number, at = take(data, at)
            if number > len(_WORDS):
                raise ValueError(f"there is no word {number}")
            if number:
                key = _WORDS[number - 1]
            else:
                key, at = _take_text(data, at)
            counts[key], at = take_signed(data, at)
    row.served, at = Histogram.read(data, at)
    row.explicit, at = Histogram.read(data, at)
    for flag, name, other in (
        (_SAME_SERVED, "served_actual", row.served),
        (_SAME_EXPLICIT, "explicit_actual", row.explicit),
    ):
        if flags & flag:
            setattr(row, name, other.copy())
        else:
            found, at = Histogram.read(data, at)
            setattr(row, name, found)
    return row, at


def _payload(data: bytes) -> bytes:
    if len(data) < 3 or data[:2] != _MAGIC:
        raise ReportError("these bytes are no report")
    if data[2] != VERSION:
        raise ReportError(
            f"the agent sends reports of version {data[2]}, this process reads version {VERSION}: "
            "run the same version of Rascal on both"
        )
    if len(data) > MAX_BYTES:
        raise ReportError(f"a report has {len(data)} bytes; at most {MAX_BYTES} are read")
    return _unpacked(data[3:])


def _packed(data: bytearray) -> bytes:
    # Counts of buckets hardly repeat as strings; this strategy leans on Huffman codes instead.
    pack = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return pack.compress(data) + pack.flush()


def _unpacked(data: bytes) -> bytes:
    unpack = zlib.decompressobj()
    try:
        payload = unpack.decompress(data, MAX_PAYLOAD)
    except zlib.error as error:
        raise ReportError(f"these bytes cannot be unpacked: {error}") from error
    if not unpack.eof or unpack.unused_data:
        raise ReportError("these bytes are cut off, too long, or unpack to too much")
    return payload


def _decode(data: bytes) -> Report:
    run, at = _take_text(data, 0)
    agent, at = _take_text(data, at)
    sequence, at = take(data, at)
    second, at = take_signed(data, at)
    last, at = take(data, at)
    if abs(second) > MAX_SECOND or sequence > MAX_SECOND:
        raise ValueError("its second is out of range")
    report = Report(run=run, agent=agent, sequence=sequence, second=second, last=bool(last))
    report.meters, at = take_meters(data, at)
    names: list[str] = []
    size, at = _take_size(data, at, MAX_ROWS)
    for _ in range(size):
        name, at = _take_text(data, at)
        names.append(name)
    size, at = _take_size(data, at, MAX_ROWS)
    for _ in range(size):
        kind, at = take(data, at)
        number, at = take(data, at)
        back, at = take_signed(data, at)
        if kind >= len(_KINDS) or number >= len(names) or not 0 <= second - back <= MAX_SECOND:
            raise ValueError("a row belongs nowhere")
        row, at = take_row(data, at)
        report.rows[_KINDS[kind], names[number], second - back] = row
    size, at = _take_size(data, at, MAX_PAYLOAD)
    if at + size != len(data):
        raise ValueError("it is longer or shorter than it says")
    if size:
        _take_extras(report, json.loads(data[at:]))
    return report


def put_meters(out: bytearray, meters: Meters) -> None:
    """Append meters."""
    for name in _METERS:
        put_signed(out, getattr(meters, name))
    for name in _SHARES:
        share = getattr(meters, name)
        put_signed(out, round(min(max(share, -1e6), 1e6) * _MICRO) if share == share else 0)
    put(out, len(meters.unsound))
    for reason in meters.unsound:
        _put_text(out, reason)
    out += meters.lateness.encode()


def take_meters(data: bytes, at: int) -> tuple[Meters, int]:
    """The meters at `at`, and where they end.

    Raises:
        ValueError: there are none.
    """
    meters = Meters()
    for name in _METERS:
        number, at = take_signed(data, at)
        setattr(meters, name, number)
    for name in _SHARES:
        number, at = take_signed(data, at)
        setattr(meters, name, number / _MICRO)
    size, at = _take_size(data, at, MAX_ITEMS)
    reasons: list[str] = []
    for _ in range(size):
        reason, at = _take_text(data, at)
        reasons.append(reason)
    meters.unsound = tuple(reasons)
    meters.lateness, at = Histogram.read(data, at)
    return meters, at


def _take_extras(report: Report, held: Any) -> None:
    if not isinstance(held, dict):
        raise ValueError("its samples cannot be read")
    samples, events = held.get("samples", []), held.get("events", [])
    if not (isinstance(samples, list) and isinstance(events, list)):
        raise ValueError("its samples cannot be read")
    if len(samples) > MAX_ITEMS or len(events) > MAX_ITEMS:
        raise ValueError(f"it has more than {MAX_ITEMS} samples or events")
    report.samples = [Sample(**_fields(Sample, one)) for one in samples]
    report.events = [Event(**_fields(Event, one)) for one in events]
    report.owners = _mapping(held.get("owners", {}), str)
    report.deadlines = {
        name: float(seconds)
        for name, seconds in _mapping(held.get("deadlines", {}), (int, float)).items()
        if 0 < seconds < MAX_SECOND
    }


def _mapping(given: Any, kind: type | tuple[type, ...]) -> dict[str, Any]:
    if not isinstance(given, dict) or len(given) > MAX_ITEMS:
        raise ValueError("its deadlines cannot be read")
    if not all(isinstance(one, kind) and not isinstance(one, bool) for one in given.values()):
        raise ValueError("its deadlines cannot be read")
    return given


def _fields(cls: type[Sample] | type[Event], given: Any) -> dict[str, Any]:
    """What a value's JSON says, each of its type."""
    if not isinstance(given, dict):
        raise ValueError("a sample or an event is no object")
    kinds = {"float": (float, int), "str": str, "int": int}
    for field in attrs.fields(cls):
        if field.name in given:
            wanted: Any = kinds.get(str(field.type), dict)
            if not isinstance(given[field.name], wanted) or isinstance(given[field.name], bool):
                raise ValueError(f"'{field.name}' of a sample or an event has another type")
    return given


def _put_text(out: bytearray, text: str) -> None:
    data = text.encode("utf-8", "replace")[:MAX_TEXT]
    put(out, len(data))
    out += data


def _take_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _take_size(data, at, MAX_TEXT)
    if at + size > len(data):
        raise ValueError("a text is cut off")
    return data[at : at + size].decode("utf-8", "replace"), at + size


def _take_size(data: bytes, at: int, most: int) -> tuple[int, int]:
    size, at = take(data, at)
    if size > most:
        raise ValueError(f"{size} is more than {most}")
    return size, at

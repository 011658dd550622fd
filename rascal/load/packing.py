"""How rows and histograms are kept while a run goes on, and in the run store: quick to open again.

A packed histogram is a head (count, total, low, high, number of buckets, and the two item
types), then the gaps between the bucket numbers in order, then the counts, each in the narrowest
type that holds all of them, little-endian. All of it runs in C (`array`, `map`, `accumulate`), so
that 500 buckets cost some 30 us to pack. Histograms of one row stand behind each other,
compressed together. (Reports on their way are smaller, and slower to read: rascal.load.reports.)
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable
from itertools import accumulate
from operator import sub

from rascal.histogram import Histogram
from rascal.load.types import Row

_HEAD = struct.Struct("<qqqqIBB")
_TYPES = (("B", 0, 0xFF), ("H", 0, 0xFFFF), ("i", -(2**31), 2**31 - 1), ("q", -(2**63), 2**63 - 1))

_TAKEN = 128
"""In the type of the counts: something was taken back."""

COLUMNS = ("planned", "started", "dropped")
"""Counts that stand by themselves: what a query may want to add up."""
HISTOGRAMS = ("served", "explicit", "served_actual", "explicit_actual")
COUNTS = tuple(name for name in Row.__slots__ if name not in COLUMNS and name not in HISTOGRAMS)

# ASCII only, so that texts of the outside which are no Unicode can be kept.
_dumps = json.JSONEncoder(separators=(",", ":"), default=str).encode
_loads = json.JSONDecoder().decode

Packed = tuple[int, int, int, str, bytes]
"""planned, started, dropped, the other counts as JSON, the histograms."""


def _items(values: Iterable[int]) -> tuple[int, bytes]:
    """The type's number, and the values in it."""
    found = list(values)
    low, high = min(found), max(found)
    for number, (code, least, most) in enumerate(_TYPES):
        if least <= low and high <= most:
            packed = array(code, found)
            if sys.byteorder == "big":
                packed.byteswap()
            return number, packed.tobytes()
    raise OverflowError(f"{low}..{high} does not fit into 64 bits")


def pack(histogram: Histogram) -> bytes:
    """One histogram."""
    known = histogram.buckets
    if not known:
        sums = (histogram.count, histogram.total, histogram.low, histogram.high)
        return _HEAD.pack(*sums, 0, 0, _TAKEN * histogram.taken)
    order = sorted(known)
    gap_type, gaps = _items([order[0], *map(sub, order[1:], order)])
    count_type, counts = _items(map(known.__getitem__, order))
    head = _HEAD.pack(
        histogram.count,
        histogram.total,
        histogram.low,
        histogram.high,
        len(order),
        gap_type,
        count_type | _TAKEN * histogram.taken,
    )
    return head + gaps + counts


def unpack(data: bytes, at: int = 0) -> tuple[Histogram, int]:
    """The histogram that stands there, and where it ends."""
    found = Histogram()
    count, total, low, high, size, gap_type, count_type = _HEAD.unpack_from(data, at)
    found.count, found.total, found.low, found.high = count, total, low, high
    found.taken, count_type = count_type >= _TAKEN, count_type % _TAKEN
    at += _HEAD.size
    if size:
        gaps, counts = array(_TYPES[gap_type][0]), array(_TYPES[count_type][0])
        middle = at + size * gaps.itemsize
        end = middle + size * counts.itemsize
        gaps.frombytes(data[at:middle])
        counts.frombytes(data[middle:end])
        if sys.byteorder == "big":
            gaps.byteswap()
            counts.byteswap()
        found.buckets = dict(zip(accumulate(gaps), counts, strict=True))
        at = end
    return found, at


def pack_row(row: Row) -> Packed:
    """A row, to be kept."""
    counts = {name: value for name in COUNTS if (value := getattr(row, name))}
    packed = b"".join([pack(getattr(row, name)) for name in HISTOGRAMS])
    return row.planned, row.started, row.dropped, _dumps(counts), zlib.compress(packed, 1)


def unpack_row(packed: Packed, *, actual: bool = True) -> Row:
    """The row of it; without `actual` the two histograms from the actual start are left empty."""
    row = Row()
    row.planned, row.started, row.dropped, counts, histograms = packed
    for name, value in _loads(counts).items():
        setattr(row, name, value)
    data, at = zlib.decompress(histograms), 0
    for name in HISTOGRAMS if actual else HISTOGRAMS[:2]:
        found, at = unpack(data, at)
        setattr(row, name, found)
    return row

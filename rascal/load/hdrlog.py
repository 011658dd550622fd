"""A run as HdrHistogram log, for the tools that read it.

    #[Histogram log format version 1.3]
    #[StartTime: 1700000000.000 (seconds since epoch), …]
    "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
    Tag=checkout,12.000,1.000,41.215,HISTFAAAA…

One line a second of intended start and tag, times in seconds since the start; values are
microseconds, Interval_Max is in milliseconds. The tag of a flow is its name (served calls, from the
intended start), NAME.actual (the same from the actual start), NAME.explicit (replies that say no);
scenarios are scenario.NAME, and time whole iterations.

Our buckets are those of an HdrHistogram with two significant digits, so nothing is lost.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rascal.histogram import Histogram, put_signed
from rascal.load.types import FlowKind, Row

if TYPE_CHECKING:
    from rascal.load.results import Results

DIGITS = 2
HIGHEST = 86_400_000_000
"""Trackable, microseconds: a day, or what there is if it is more."""
_COOKIE = 0x1C849303 | 0x10
_PACKED = 0x1C849304 | 0x10
_LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
_NO_TAG = re.compile(r"[\s,]+")


def hdr_bytes(histogram: Histogram) -> bytes:
    """The histogram in HdrHistogram's encoding V2, compressed; base64 of it stands in logs."""
    counts = bytearray()
    expected = 0
    for index in sorted(histogram.buckets):
        times = histogram.buckets[index]
        if times <= 0:
            continue
        if index > expected:
            put_signed(counts, expected - index)
        put_signed(counts, times)
        expected = index + 1
    highest = max(HIGHEST, histogram.most)
    head = struct.pack(">iiiiqqd", _COOKIE, len(counts), 0, DIGITS, 1, highest, 1.0)
    packed = zlib.compress(head + bytes(counts))
    return struct.pack(">ii", _PACKED, len(packed)) + packed


def log_lines(results: Results, start: float = 0.0) -> Iterator[str]:
    """The log, line by line, without line ends.

    Args:
        results: the run.
        start: time of day of second 0, seconds since the epoch.
    """
    day = datetime.fromtimestamp(start, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    yield "#[Histogram log format version 1.3]"
    yield f"#[Rascal run {results.run}: values in microseconds, Interval_Max in milliseconds]"
    yield f"#[StartTime: {start:.3f} (seconds since epoch), {day}]"
    yield f"#[BaseTime: {start:.3f} (seconds since epoch)]"
    yield _LEGEND
    sources: list[tuple[FlowKind, str, str]] = [("flow", name, name) for name in results.flows]
    sources += [("scenario", name, f"scenario.{name}") for name in results.scenarios]
    seconds = {second for kind, name, _ in sources for second in results.rows(kind, name)}
    for second in sorted(seconds):
        for kind, name, tag in sources:
            row = results.rows(kind, name).get(second)
            if row is not None:
                yield from _row_lines(row, second, _NO_TAG.sub("_", tag))


def _row_lines(row: Row, second: int, tag: str) -> Iterator[str]:
    for histogram, suffix in (
        (row.served, ""),
        (row.served_actual, ".actual"),
        (row.explicit, ".explicit"),
    ):
        if histogram.count > 0:
            data = base64.b64encode(hdr_bytes(histogram)).decode()
            most = histogram.most / 1000
            yield f"Tag={tag}{suffix},{second:.3f},1.000,{most:.3f},{data}"

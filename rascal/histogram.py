"""The one histogram: log-linear, exact to 1 us under 256 us, within 0.4 % above; merges by adding.

Values are integer microseconds. A bucket is 1/128 of its power of two; its middle stands for what
is in it, so a percentile is off by 1/256 at most. The buckets are those of an HdrHistogram with
two significant digits, index by index.

Counts may be negative: a *delta* takes back what an earlier one counted (a call whose outcome
changed after it was reported). Buckets, `count` and `total` then stay exact; for `least` and
`most`, which may have been taken back, the middle of the outermost bucket stands from then on.

On the wire a histogram is its form, total, low, high and size, then its buckets in the shorter of
two forms: pairs of varints (gap, count), or half a byte a bucket from the first to the last (15:
the count follows behind as a varint). Numbers that can be negative are zigzag varints.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

UNSET = (1 << 63) - 1
"""`low` of a histogram that has counted nothing."""
INDICES = (57 << 7) + 128
"""Bucket indices are below it: values of 63 bits."""
_SPARSE, _DENSE, _TAKEN = 1, 2, 4
_ESCAPE = 15
_VARINT = 10


def bucket(value: int) -> int:
    """The index of the bucket of a value >= 0 (microseconds)."""
    shift = value.bit_length() - 8
    return (shift << 7) + (value >> shift) if shift > 0 else value


def bounds(index: int) -> tuple[int, int]:
    """The least and the greatest value of a bucket."""
    if index < 256:
        return index, index
    shift = (index >> 7) - 1
    low = ((index & 127) + 128) << shift
    return low, low + (1 << shift) - 1


class Histogram:
    """Counts of durations. Besides the buckets, count, total, least and most are exact."""

    __slots__ = ("buckets", "count", "high", "low", "taken", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.low = UNSET
        """The least value ever counted; who only reads wants `least`."""
        self.high = -1
        self.taken = False
        """Something was taken back: nobody knows whether it was the least or the most."""

    def __bool__(self) -> bool:
        return bool(self.buckets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            self.count == other.count
            and self.total == other.total
            and self.low == other.low
            and self.high == other.high
            and _filled(self.buckets) == _filled(other.buckets)
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}, {self.least} to {self.most} us>"

    def record(self, value: int, times: int = 1) -> None:
        """Count `value` microseconds (negative ones as 0); `times` may be negative."""
        if value < 0:
            value = 0
        shift = value.bit_length() - 8
        index = (shift << 7) + (value >> shift) if shift > 0 else value
        self.buckets[index] = self.buckets.get(index, 0) + times
        if times > 0:
            if value < self.low:
                self.low = value
            if value > self.high:
                self.high = value
        else:
            self.taken = True
        self.count += times
        self.total += value * times

    def add(self, other: Histogram) -> None:
        """Add what `other` counted, or took back."""
        if not other.buckets and not other.total and other.high < 0:
            return  # most rows have no explicit failure
        mine = self.buckets
        get = mine.get
        for index, times in other.buckets.items():
            new = get(index, 0) + times
            if new:
                mine[index] = new
            else:
                mine.pop(index, None)
        self.taken |= other.taken
        if other.low < self.low:
            self.low = other.low
        if other.high > self.high:
            self.high = other.high
        self.count += other.count
        self.total += other.total

    def subtract(self, other: Histogram) -> None:
        """Take away what `other` counted: for windows that move on."""
        mine = self.buckets
        get = mine.get
        for index, times in other.buckets.items():
            new = get(index, 0) - times
            if new:
                mine[index] = new
            else:
                mine.pop(index, None)
        self.taken = True
        self.count -= other.count
        self.total -= other.total

    def copy(self) -> Histogram:
        """A histogram of its own with the same counts."""
        new = Histogram()
        new.add(self)
        return new

    @property
    def least(self) -> int:
        """The least value, microseconds; 0 if nothing is counted."""
        left = [index for index, times in self.buckets.items() if times > 0]
        if not left:
            return 0
        return _within(min(left), UNSET if self.taken else self.low)

    @property
    def most(self) -> int:
        """The greatest value, microseconds; 0 if nothing is counted."""
        left = [index for index, times in self.buckets.items() if times > 0]
        if not left:
            return 0
        return _within(max(left), -1 if self.taken else self.high)

    @property
    def mean(self) -> float:
        """The mean in seconds, exact; 0 if nothing is counted."""
        return self.total / self.count / 1e6 if self.count > 0 else 0.0

    def percentile(self, share: float) -> float:
        """The value in seconds that `share` percent of the values do not exceed, within 0.4 %.

        It is the middle of the bucket of the value at rank ceil(share / 100 × count), held
        between least and most; 0 if nothing is counted.
        """
        return self.percentiles((share,))[0]

    def percentiles(self, shares: Iterable[float]) -> list[float]:
        """Several percentiles, in any order, for one pass over the buckets."""
        wanted = list(shares)
        if self.count <= 0:
            return [0.0] * len(wanted)
        indices: list[int] = []
        sums: list[int] = []
        reached = 0
        for index in sorted(self.buckets):
            reached += self.buckets[index]
            indices.append(index)
            sums.append(reached)
        least, most = self.least, self.most
        found: list[float] = []
        for share in wanted:
            # Exact for shares such as 99.9, which no float holds: a rank has 12 digits at most.
            rank = -(-round(share * 1e9) * self.count // 100_000_000_000)
            if rank <= 1:
                found.append(least / 1e6)
            elif rank >= self.count:
                found.append(most / 1e6)
            else:
                low, high = bounds(indices[bisect_right(sums, rank - 1)])
                found.append(min(max((low + high) / 2, least), most) / 1e6)
        return found

    def over(self, seconds: float) -> int:
        """How many values are greater (a bucket that holds the limit goes by its middle)."""
        limit = seconds * 1e6
        if limit >= self.high or limit >= self.most:  # `high` may have been taken back
            return 0
        if limit < self.low or limit < self.least:
            return self.count
        # Half a microsecond of grace: 0.3 is not a float, and durations are whole microseconds.
        index = bucket(int(limit + 1e-6))
        low, high = bounds(index)
        over = sum(times for at, times in self.buckets.items() if at > index)
        return over + (self.buckets.get(index, 0) if (low + high) / 2 > limit + 1e-6 else 0)

    def encode(self) -> bytes:
        """Bytes that `decode` reads; also of a delta."""
        out = bytearray()
        buckets = self.buckets
        if 0 in buckets.values():
            buckets = _filled(buckets)
        if not buckets and not self.total and self.low == UNSET:
            return b"\0"
        first, last = (min(buckets), max(buckets)) if buckets else (0, 0)
        width = (last - first) // 2 + 1
        dense = width <= 4 * len(buckets)
        out.append((_DENSE if dense else _SPARSE) | (_TAKEN if self.taken else 0))
        put_signed(out, self.total)
        put(out, 0 if self.low == UNSET else self.low + 1)
        put(out, self.high + 1)
        put(out, len(buckets))
        if dense:
            _put_dense(out, buckets, first, width)
        else:
            at = 0
            for index in sorted(buckets):
                put(out, index - at)
                put_signed(out, buckets[index])
                at = index
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Histogram:
        """The histogram that these bytes hold.

        Raises:
            ValueError: they hold none, or more.
        """
        found, at = cls.read(data, 0)
        if at != len(data):
            raise ValueError("bytes are left behind a histogram")
        return found

    @classmethod
    def read(cls, data: bytes, at: int) -> tuple[Histogram, int]:
        """The histogram that begins at `at`, and where it ends; bounded whatever the bytes are.

        Raises:
            ValueError: there is none.
        """
        new = cls()
        if at >= len(data):
            raise ValueError("a histogram is cut off")
        form, at = data[at], at + 1
        if form == 0:
            return new, at
        new.taken = bool(form & _TAKEN)
        form &= ~_TAKEN
        if form not in (_SPARSE, _DENSE):
            raise ValueError(f"histograms have no form {form}")
        new.total, at = take_signed(data, at)
        low, at = take(data, at)
        high, at = take(data, at)
        new.low = low - 1 if low else UNSET
        new.high = high - 1
        size, at = take(data, at)
        if size > INDICES:
            raise ValueError("a histogram has too many buckets")
        if form == _DENSE:
            at = _take_dense(new.buckets, data, at)
        else:
            index = 0
            for _ in range(size):
                gap, at = take(data, at)
                times, at = take_signed(data, at)
                index += gap
                new.buckets[index] = times
            if index >= INDICES:
                raise ValueError("a histogram has a bucket beyond the last")
        if len(new.buckets) != size:
            raise ValueError("a histogram has other buckets than it says")
        new.count = sum(new.buckets.values())
        return new, at


def put(out: bytearray, value: int) -> None:
    """Append a number >= 0 as a varint."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def put_signed(out: bytearray, value: int) -> None:
    """Append any number as a zigzag varint."""
    put(out, value << 1 if value >= 0 else (-value << 1) - 1)


def take(data: bytes, at: int) -> tuple[int, int]:
    """A varint at `at`, and where it ends.

    Raises:
        ValueError: it is cut off, or longer than ten bytes.
    """
    value = shift = 0
    for place in range(at, min(at + _VARINT, len(data))):
        byte = data[place]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place + 1
        shift += 7
    raise ValueError("a number is cut off or too long")


def take_signed(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint at `at`, and where it ends."""
    value, at = take(data, at)
    return (value >> 1 if not value & 1 else -((value + 1) >> 1)), at


def _within(index: int, value: int) -> int:
    """The value, if it is in this bucket; else it was taken back, and the middle stands for it."""
    low, high = bounds(index)
    return value if low <= value <= high else (low + high) // 2


def _filled(buckets: dict[int, int]) -> dict[int, int]:
    return {index: times for index, times in buckets.items() if times}


def _put_dense(out: bytearray, buckets: dict[int, int], first: int, width: int) -> None:
    """Half a byte a bucket; counts that do not fit follow."""
    put(out, first)
    put(out, width)
    pairs = bytearray(width)
    escaped: list[int] = []
    for index, times in buckets.items():
        if not 0 < times < _ESCAPE:
            escaped.append(index)
            times = _ESCAPE
        offset = index - first
        pairs[offset >> 1] |= times if offset & 1 else times << 4
    out += pairs
    for index in sorted(escaped):
        put_signed(out, buckets[index])


def _take_dense(buckets: dict[int, int], data: bytes, at: int) -> int:
    first, at = take(data, at)
    width, at = take(data, at)
    if width > len(data) - at or first + 2 * width > INDICES + 2:
        raise ValueError("a histogram has a bucket beyond the last")
    end = at + width
    for index, pair in enumerate(data[at:end]):
        if not pair:
            continue
        for offset, times in ((0, pair >> 4), (1, pair & 15)):
            if times == _ESCAPE:
                times, end = take_signed(data, end)
            if times:
                buckets[first + 2 * index + offset] = times
    return end

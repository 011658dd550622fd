"""How much load when: a profile as a function of time, with its exact integral. Pure.

A profile becomes *pieces* that follow each other without gaps: lines (hold, ramp, spike, pause and
each of the steps) and waves. A level is arrivals a second or users; *mass* is the integral of the
level, thus the number of arrivals expected since second 0. Boundaries are kept as fractions, so a
hold of 200/s for 60s has a mass of exactly 12,000, wherever it begins; at a boundary the later
piece counts. Where a level is a whole number of users is found by solving, not by sampling.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction

from rascal.language import Quantity, Range, Stretch

MOST_STEPS = 10_000
"""More than that in one stretch are a ramp."""
_NEWTON = 60
_WHOLE = 1e-6
"""A level is a whole number if it is as near."""
_AHEAD = 1e-3
_ZERO = Fraction(0)


class Line:
    """The level goes straight from `low` to `high` (down as well)."""

    __slots__ = ("a", "b", "high", "lasts", "low", "slope", "span", "top")

    def __init__(self, low: Fraction, high: Fraction, lasts: Fraction | None) -> None:
        self.low, self.high, self.lasts = low, high, lasts
        self.a, self.b = float(low), float(high)
        self.top = max(self.a, self.b)
        self.span = math.inf if lasts is None else float(lasts)
        self.slope = 0.0 if lasts is None else float((high - low) / lasts)

    def level(self, x: float) -> float:
        """The level `x` seconds after the piece began."""
        return self.a + self.slope * x

    def mass(self, x: Fraction) -> Fraction:
        """The integral of the first `x` seconds."""
        if self.lasts is None:
            return self.low * x
        return (self.low + (self.high - self.low) * x / (2 * self.lasts)) * x

    def at(self, mass: float) -> float:
        """When the integral has this value."""
        if not self.slope:
            return mass / self.a if self.a else math.inf
        root = math.sqrt(max(0.0, self.a * self.a + 2.0 * self.slope * mass))
        return 2.0 * mass / (self.a + root) if mass else 0.0

    def cut(self, x: Fraction) -> Line:
        """The first `x` seconds of it."""
        if self.lasts is None:
            return Line(self.low, self.low, x)
        return Line(self.low, self.low + (self.high - self.low) * x / self.lasts, x)

    def reaches(self, x: float, level: float) -> float:
        """When, after `x`, the level is `level`; infinity if it is not within the piece."""
        if not self.slope:
            return math.inf
        found = (level - self.a) / self.slope
        return found if x < found <= self.span else math.inf


class Wave:
    """The level swings as a cosine between `low` and `high`; it begins at `low`."""

    __slots__ = ("every", "half", "high", "lasts", "low", "middle", "period", "span", "top", "turn")

    def __init__(self, low: Fraction, high: Fraction, lasts: Fraction, every: Fraction) -> None:
        self.low, self.high, self.lasts, self.every = low, high, lasts, every
        self.span, self.period = float(lasts), float(every)
        self.middle, self.half = float(low + high) / 2, float(high - low) / 2
        self.top = float(high)
        self.turn = 2 * math.pi / self.period

    def level(self, x: float) -> float:
        """The level `x` seconds after the piece began."""
        return self.middle - self.half * math.cos(self.turn * x)

    def mass(self, x: Fraction) -> Fraction:
        """The integral of the first `x` seconds."""
        rest = x % self.every
        even = (self.low + self.high) / 2 * x
        swing = self.half / self.turn * math.sin(self.turn * float(rest)) if rest else 0.0
        return even - Fraction(swing) if swing else even

    def at(self, mass: float) -> float:
        """When the integral has this value: Newton's method, kept between bounds."""
        if not self.middle:
            return math.inf
        whole = math.floor(mass / (self.middle * self.period))
        wanted = mass - whole * self.middle * self.period
        least, most = 0.0, self.period
        x = wanted / self.middle
        for _ in range(_NEWTON):
            off = self.middle * x - self.half / self.turn * math.sin(self.turn * x) - wanted
            if off > 0:
                most = x
            else:
                least = x
            slope = self.level(x)
            step = x - off / slope if slope > 0 else least
            if not least < step < most:
                step = (least + most) / 2
            if abs(step - x) < 1e-10:
                break
            x = step
        return whole * self.period + x

    def cut(self, x: Fraction) -> Wave:
        """The first `x` seconds of it."""
        return Wave(self.low, self.high, x, self.every)

    def reaches(self, x: float, level: float) -> float:
        """When, after `x`, the level is `level`; infinity if it is not within the piece."""
        if not self.half or not -1.0 <= (cosine := (self.middle - level) / self.half) <= 1.0:
            return math.inf
        first = math.acos(cosine) / self.turn
        turns = math.floor(x / self.period) * self.period
        for found in (
            turns + first,
            turns + self.period - first,
            turns + self.period + first,
            turns + 2 * self.period - first,
        ):
            if found > x:
                return found if found <= self.span else math.inf
        return math.inf


Piece = Line | Wave


class Schedule:
    """A profile over the seconds of a run; `then` continues it with another one.

    Attributes:
        users: whether levels are users; else arrivals per second.
        ends: when it is over, in seconds of the run; infinity if it goes on without end.
        total: the mass of all of it.
    """

    def __init__(
        self, profile: Sequence[Stretch], begins: float = 0, level: Fraction = _ZERO
    ) -> None:
        self.users = counts_users(profile)
        self._pieces: list[Piece] = []
        self._starts: list[Fraction] = []
        self._masses: list[Fraction] = []
        self._end: Fraction | None = Fraction(begins)
        self._mass = _ZERO
        if begins:
            self._append(Line(_ZERO, _ZERO, Fraction(begins)), _ZERO)
        for piece in pieces(profile, level):
            assert self._end is not None
            self._append(piece, self._end)
        self._freeze()

    def _append(self, piece: Piece, start: Fraction) -> None:
        self._pieces.append(piece)
        self._starts.append(start)
        self._masses.append(self._mass)
        if piece.lasts is None:
            self._end = None
        else:
            self._end = start + piece.lasts
            self._mass += piece.mass(piece.lasts)

    def _freeze(self) -> None:
        """Floats for the look-ups of the hot path."""
        self._at = [float(start) for start in self._starts]
        self._upto = [float(mass) for mass in self._masses]
        self.ends = math.inf if self._end is None else float(self._end)
        endless = self._end is None and self._pieces[-1].level(0.0) > 0
        self.total = math.inf if endless else float(self._mass)

    def then(self, profile: Sequence[Stretch], second: float) -> Schedule:
        """This one until `second`, then the profile, whose ramps begin where this one stands."""
        self_ = object.__new__(Schedule)
        self_.users = counts_users(profile)
        self_._pieces, self_._starts, self_._masses = [], [], []
        self_._mass = _ZERO
        self_._end = _ZERO
        cut = Fraction(second)
        for piece, start in zip(self._pieces, self._starts, strict=True):
            if start >= cut:
                break
            keep = piece.lasts is not None and start + piece.lasts <= cut
            self_._append(piece if keep else piece.cut(cut - start), start)
        if self_._end is not None and self_._end < cut:
            self_._append(Line(_ZERO, _ZERO, cut - self_._end), self_._end)
        for piece in pieces(profile, Fraction(self.before(second))):
            assert self_._end is not None
            self_._append(piece, self_._end)
        self_._freeze()
        return self_

    def until(self, second: float) -> Schedule:
        """This one, over at `second`."""
        return self if self.ends <= second else self.then((), second)

    # ---- as a function of time

    def level(self, t: float) -> float:
        """The level at `t`; at a boundary that of the later piece, after the end 0."""
        if t < 0 or t >= self.ends or not self._pieces:
            return 0.0
        index = bisect_right(self._at, t) - 1
        return self._pieces[index].level(t - self._at[index])

    def before(self, t: float) -> float:
        """The level just before `t`: where a ramp that begins at `t` starts from."""
        if t <= 0 or t > self.ends or not self._pieces:
            return 0.0
        index = max(0, bisect_right(self._at, t) - 1)
        if self._at[index] == t and index:
            index -= 1
        return self._pieces[index].level(t - self._at[index])

    def mass(self, t: float) -> float:
        """The integral of the level from 0 to `t`."""
        return float(self._exact(Fraction(t)))

    def _exact(self, t: Fraction) -> Fraction:
        if t <= 0 or not self._pieces:
            return _ZERO
        if self._end is not None and t >= self._end:
            return self._mass
        index = bisect_right(self._starts, t) - 1
        return self._masses[index] + self._pieces[index].mass(t - self._starts[index])

    def at(self, mass: float) -> float:
        """When the integral passes `mass`; infinity if it never does.

        A mass that is reached where the level is 0 belongs to where the level rises again.
        """
        if mass >= self.total:
            return math.inf
        index = bisect_right(self._upto, mass) - 1
        found = self._at[index] + self._pieces[index].at(mass - self._upto[index])
        last = self._at[index + 1] if index + 1 < len(self._at) else self.ends
        # A rounding error must not carry it over a boundary, where another piece counts.
        return found if found < last else math.nextafter(last, 0.0)

    def planned(self, second: int) -> float:
        """How many arrivals are expected within this second; of users their mean number."""
        return float(self._exact(Fraction(second + 1)) - self._exact(Fraction(second)))

    # ---- whole users

    def count(self, t: float) -> int:
        """How many users live from `t` on: user number n does while the level is above n."""
        if t < 0 or t >= self.ends or not self._pieces:
            return 0
        index = bisect_right(self._at, t) - 1
        piece, x = self._pieces[index], t - self._at[index]
        level = piece.level(x)
        near = round(level)
        if abs(level - near) > _WHOLE:
            return math.ceil(level)
        ahead = piece.level(min(x + _AHEAD, (x + piece.span) / 2))
        return min(near + (ahead > level), math.ceil(piece.top - _WHOLE))

    def changes(self, t: float) -> float:
        """The next time after `t` at which the number of users may differ."""
        if t >= self.ends or not self._pieces:
            return math.inf
        index = max(0, bisect_right(self._at, t) - 1)
        piece, start = self._pieces[index], self._at[index]
        last = self._at[index + 1] if index + 1 < len(self._at) else self.ends
        x = max(0.0, t - start)
        level = piece.level(x)
        near = round(level)
        around = (near - 1, near, near + 1) if abs(level - near) < _WHOLE else ()
        levels = around or (math.floor(level), math.ceil(level))
        found = min(piece.reaches(x + 1e-9, float(n)) for n in levels)
        return min(start + found, last)


def counts_users(profile: Sequence[Stretch]) -> bool:
    """Whether the levels of a profile are users. One of pauses alone is of rates."""
    for stretch in profile:
        level = stretch.level.high if isinstance(stretch.level, Range) else stretch.level
        if level is not None and level.users:
            return True
    return False


def pieces(profile: Sequence[Stretch], level: Fraction = _ZERO) -> Iterator[Piece]:
    """The pieces of a profile that begins at a level.

    A ramp with one level begins where the stretch before it ended; after a spike that is where
    the load was before the spike.
    """
    for stretch in profile:
        low, high = _bounds(stretch.level)
        lasts = stretch.lasts.value if stretch.lasts is not None else None
        if lasts == 0:
            level = level if stretch.shape == "spike" else high
            continue
        match stretch.shape:
            case "steps" if (count := stretch.count or 1) <= MOST_STEPS:
                assert lasts is not None
                for step in range(count):
                    at = low + (high - low) * step / (count - 1) if count > 1 else high
                    yield Line(at, at, lasts / count)
                level = high
            case "ramp" | "steps":
                assert lasts is not None
                begin = low if isinstance(stretch.level, Range) else level
                yield Line(begin, high, lasts)
                level = high
            case "wave" if stretch.every is not None and not stretch.every.value:
                yield Line((low + high) / 2, (low + high) / 2, lasts)
                level = (low + high) / 2
            case "wave":
                assert lasts is not None
                assert stretch.every is not None
                wave = Wave(low, high, lasts, stretch.every.value)
                yield wave
                level = Fraction(wave.level(wave.span))
            case "spike":
                yield Line(high, high, lasts)
            case _:  # hold, pause
                yield Line(high, high, lasts)
                level = high


def _bounds(level: Quantity | Range | None) -> tuple[Fraction, Fraction]:
    if level is None:
        return _ZERO, _ZERO
    if isinstance(level, Range):
        return level.low.value, level.high.value
    return level.value, level.value

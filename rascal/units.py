"""Units: what a quantity's text says, exactly, and the shortest text that says it.

A quantity is a number and a unit (`2s`, `64KB`, `200/s`). Inside the language it is a Fraction of
its base unit, so that nothing is rounded on the way from text to text: seconds, bytes, per
second, bytes per second, share of 1. This module holds the tables and the way back to text; the
reader with its error messages is `rascal.language`.
"""

from __future__ import annotations

from fractions import Fraction

SECONDS = {
    "us": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
BYTES = {
    "B": Fraction(1),
    "KB": Fraction(10**3),
    "MB": Fraction(10**6),
    "GB": Fraction(10**9),
    "KiB": Fraction(2**10),
    "MiB": Fraction(2**20),
    "GiB": Fraction(2**30),
}
PER = {"/s": Fraction(1), "/m": Fraction(1, 60), "/h": Fraction(1, 3600)}
BITS = {"kbit/s": Fraction(125), "Mbit/s": Fraction(125_000), "Gbit/s": Fraction(125_000_000)}

UNITS: dict[str, dict[str, Fraction]] = {
    "duration": SECONDS,
    "size": BYTES,
    "rate": PER,
    "throughput": {f"{unit}/s": factor for unit, factor in BYTES.items()} | BITS,
    "percentage": {"%": Fraction(1, 100)},
    "level": PER | {" users": Fraction(1)},
    "number": {"": Fraction(1)},
}
"""The units of each type of quantity, with their size in base units."""

EXAMPLES = {
    "duration": "{0}s or {0}ms",
    "size": "{0}KB or {0}B",
    "rate": "{0}/s",
    "throughput": "{0}KB/s",
    "percentage": "{0}%",
    "level": "{0}/s or {0} users",
    "number": "{0}",
}
"""Both readings of a number that lacks its unit."""

SLIPS = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "msec": "ms",
    "min": "m",
    "mins": "m",
    "minutes": "m",
    "hr": "h",
    "hours": "h",
    "days": "d",
    "µs": "us",
    "rps": "/s",
    "qps": "/s",
    "k": "KB",
    "M": "MB",
}
"""Units of other tools, and ours."""

_LARGEST_FIRST = ("d", "h", "m")
_ROUND_SIZES = ("GB", "MB", "KB", "GiB", "MiB", "KiB")


def decimal(value: Fraction) -> str | None:
    """Exact decimal text of a number >= 0, or None if there is none of at most 20 places."""
    for places in range(21):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = f"{scaled.numerator:0{places + 1}d}"
            return f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return None


def quantity_text(type_: str, value: Fraction, users: bool = False) -> str:
    """The canonical text of a quantity: the largest unit that divides it.

    Args:
        type_: a key of UNITS.
        value: in base units, >= 0.
        users: a level that counts users instead of arrivals.
    """
    units = UNITS[type_]
    if type_ == "duration":
        unit = next(
            (unit for unit in _LARGEST_FIRST if value and value % SECONDS[unit] == 0),
            "s" if value >= 1 or not value else "ms" if value >= SECONDS["ms"] else "us",
        )
    elif type_ in ("size", "throughput"):
        per = "/s" if type_ == "throughput" else ""
        unit = next(
            (name for name in _ROUND_SIZES if value >= BYTES[name] and value % BYTES[name] == 0),
            "B",
        )
        unit += per
    elif users:
        unit = " users"
    else:
        unit = next(unit for unit, factor in units.items() if decimal(value / factor))
    return f"{decimal(value / units[unit])}{unit}"


def plain_text(type_: str, value: float) -> str:
    """The text of a plain value (float seconds, int bytes …), for messages and listings."""
    type_ = "percentage" if type_ == "probability" else type_
    if type_ not in UNITS or type_ == "number":
        return f"{value:g}"
    rounded = Fraction(value).limit_denominator(10**9)
    rounded = Fraction(round(rounded * 10**9), 10**9)
    if type_ == "duration":
        rounded = Fraction(round(rounded * 10**6), 10**6)
    elif type_ == "size":
        rounded = Fraction(round(rounded))
    return quantity_text(type_, rounded)

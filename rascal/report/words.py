"""Numbers as people read them, the same on a terminal and on a page."""

from __future__ import annotations


def number(value: float) -> str:
    """A count with its thousands apart."""
    return f"{value:,.0f}"


def span(seconds: float) -> str:
    """A stretch of time, roughly: 1.2ms, 350ms, 2.5s, 1m30s, 2h."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    for big, small, name, part in ((3600, 60, "h", "m"), (60, 1, "m", "s")):
        if whole >= big:
            rest = whole % big // small
            return f"{whole // big}{name}" + (f"{rest}{part}" if rest else "")
    raise AssertionError(seconds)


def rate_text(rate: float | None) -> str:
    """`12.5/s`, `1,200/s`; a dash if nobody knows yet."""
    if rate is None:
        return "-"
    return f"{rate:,.1f}/s" if rate < 100 else f"{rate:,.0f}/s"


def share_text(share: float | None) -> str:
    """`0.2 %`."""
    if share is None:
        return "-"
    percent = share * 100
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def time_text(seconds: float | None) -> str:
    """A latency in three digits or fewer: `250us`, `4.1ms`, `287ms`, `1.5s`."""
    if seconds is None:
        return "-"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f}us"
    return f"{seconds * 1000:.0f}ms" if 0.00995 <= seconds < 0.0995 else span(seconds)


def clock_text(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def value_text(type_: str | None, value: float | None) -> str:
    """A value of a type of the language: duration, rate, percentage, number; a dash for none."""
    if value is None:
        return "-"
    if type_ == "duration":
        return time_text(value)
    if type_ == "rate":
        return rate_text(value)
    return share_text(value) if type_ == "percentage" else f"{value:.3g}"


def many(count: int, word: str) -> str:
    """`1 fault`, `2 faults`."""
    plural = {"proxy": "proxies"}.get(word, f"{word}s")
    return f"{count:,} {word if count == 1 else plural}"


def stretch_text(first: float, last: float) -> str:
    """`0:12` or `0:12 to 0:21`, both whole seconds included."""
    return clock_text(first) if last <= first else f"{clock_text(first)} to {clock_text(last)}"

"""Numbers as monitoring systems read them: Prometheus text 0.0.4, and OpenMetrics 1.0.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md: they differ in
how counters and infos are announced, and OpenMetrics ends with a mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

VALUE = 100
"""Characters of a label's value."""

Samples = Iterable[tuple[str, float]]
"""Labels as `label` and `labels` write them, and the value."""

Histogram = tuple[str, Sequence[float], Sequence[int], float]
"""Labels, upper bounds, how many in each bucket (one more than bounds), the sum."""


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers it."""
    openmetrics = text = 0.0
    for part in accept.split(","):
        kind, *parameters = [word.strip().lower() for word in part.split(";")]
        given = dict(word.partition("=")[::2] for word in parameters)
        try:
            quality = float(given.get("q", "1"))
        except ValueError:
            continue
        if kind == "application/openmetrics-text":
            if given.get("version", "1.0.0").strip('"') in ("1.0.0", "0.0.1"):
                openmetrics = max(openmetrics, quality)
        elif kind in ("text/plain", "text/*"):
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


@lru_cache(maxsize=50_000)
def escape(value: str) -> str:
    """A label's value, bounded."""
    if len(value) > VALUE:
        value = f"{value[: VALUE - 1]}…"
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def label(name: str, value: str) -> str:
    """One label."""
    return f'{name}="{escape(value)}"'


def labels(**values: str) -> str:
    """Several."""
    return ",".join(label(name, value) for name, value in values.items())


class Exposition:
    """Gathers families of metrics and writes them."""

    def __init__(self, openmetrics: bool) -> None:
        self.openmetrics = openmetrics
        self.kind = OPENMETRICS if openmetrics else PROMETHEUS
        self._lines: list[str] = []

    def text(self) -> str:
        """All of it."""
        end = ["# EOF"] if self.openmetrics else []
        return "\n".join((*self._lines, *end, ""))

    def gauge(self, name: str, help_: str, samples: Samples) -> None:
        """What goes up and down."""
        self._family(name, "gauge", help_)
        self._samples(name, samples)

    def counter(self, name: str, help_: str, samples: Samples) -> None:
        """What only goes up; its samples end in _total."""
        total = f"{name}_total"
        self._family(name if self.openmetrics else total, "counter", help_)
        self._samples(total, samples)

    def info(self, name: str, help_: str, labels_: str) -> None:
        """Facts; its sample ends in _info."""
        info = f"{name}_info"
        family, type_ = (name, "info") if self.openmetrics else (info, "gauge")
        self._family(family, type_, help_)
        self._samples(info, [(labels_, 1)])

    def histogram(self, name: str, help_: str, found: Iterable[Histogram]) -> None:
        """How values are distributed."""
        self._family(name, "histogram", help_)
        lines = self._lines
        for labels_, bounds, buckets, total in found:
            before = f"{name}_bucket{{{labels_}," if labels_ else f"{name}_bucket{{"
            behind = f"{{{labels_}}}" if labels_ else ""
            count = 0
            for bound, more in zip((*bounds, None), buckets, strict=True):
                count += more
                le = "+Inf" if bound is None else repr(float(bound))
                lines.append(f'{before}le="{le}"}} {count}')
            lines.append(f"{name}_count{behind} {count}")
            lines.append(f"{name}_sum{behind} {total!r}")

    def _family(self, name: str, type_: str, help_: str) -> None:
        self._lines.append(f"# HELP {name} {help_}")
        self._lines.append(f"# TYPE {name} {type_}")

    def _samples(self, name: str, samples: Samples) -> None:
        self._lines.extend(
            f"{name}{{{labels_}}} {value}" if labels_ else f"{name} {value}"
            for labels_, value in samples
        )

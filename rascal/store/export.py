"""A run as JSON and CSV for other programs. docs/runs.md describes both; the names are stable.

JSON (`rascal-run/1`): what was run, then for each flow and scenario the sum and each second, the
agents second by second, events, samples, what an experiment kept. Times are seconds, in histograms
microseconds. `_actual` counts from the actual start (uncorrected), all else from the intended one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import attrs

from rascal.histogram import Histogram, bounds
from rascal.load.measuring import SHOWN, histogram_data, meters_data, row_data
from rascal.load.types import OUTCOMES, SERVED, Meters, Row, Sample
from rascal.store.held import Held
from rascal.store.masking import masked
from rascal.store.reading import Reader
from rascal.store.values import Run

SCHEMA = "rascal-run/1"
KINDS = ("flow", "scenario")
_COUNTS = ("planned", "started", "dropped", "reduced", "attempts", "replies", "sent", "received")
_HISTOGRAMS = ("served", "explicit", "served_actual", "explicit_actual")


def run_json(run: Run, *, plan: bool = True) -> dict[str, Any]:
    """What is known of a run without its numbers; secrets are masked."""
    return {
        "id": run.id,
        "uid": run.uid,
        "kind": run.kind,
        "name": run.name,
        "state": run.state,
        "outcome": run.outcome or None,
        "status": run.status,
        "created": day_time(run.created),
        "started": day_time(run.started),
        "ended": day_time(run.ended),
        "labels": list(run.labels),
        "seed": run.seed,
        "versions": dict(run.versions),
        "host": run.host,
        "pid": run.pid,
        "forked_from": run.forked_from or None,
        "about": masked(run.about),
        **({"plan": masked(run.plan), "summary": run.summary} if plan else {}),
    }


def day_time(at: float | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row_json(row: Row) -> dict[str, Any]:
    """A row as `measuring.row_data` has it, and the buckets of its histograms."""
    found = row_data(row)
    for name in _HISTOGRAMS:
        if found[name]:
            buckets = sorted(getattr(row, name).buckets.items())
            found[name]["buckets_us"] = [[*bounds(at), count] for at, count in buckets if count]
    return found


def export_json(reader: Reader | Held, run: str) -> Iterator[str]:
    """The whole run, piece by piece (a long one does not fit well into memory)."""
    found = reader.run(run)
    yield f'{{"schema":{json.dumps(SCHEMA)},\n"run":{_line(run_json(found))},\n"files":'
    yield _line(reader.digests(found.id))
    for kind in KINDS:
        yield f',\n"{kind}s":{{'
        for at, name in enumerate(reader.flows(found.id, kind)):
            series = reader.series(found.id, kind, name)
            total = Row()
            for row in series.values():
                total.add(row)
            yield f'{"," if at else ""}\n{json.dumps(name)}:{{"total":'
            yield _line(row_json(total)) + ',\n"seconds":['
            yield ",\n".join(
                _line({"second": second, **row_json(row)}) for second, row in series.items()
            )
            yield "]}"
        yield "}"
    yield ',\n"agents":{'
    for at, (agent, seconds) in enumerate(reader.meters(found.id).items()):
        yield f"{',' if at else ''}\n{json.dumps(agent)}:["
        yield ",\n".join(_line({"second": s, **meters_data(one)}) for s, one in seconds.items())
        yield "]"
    yield '},\n"events":['
    yield ",\n".join(_line(attrs.asdict(one)) for one in reader.events(found.id))
    yield '],\n"samples":['
    yield ",\n".join(_line(attrs.asdict(one)) for one in reader.samples(found.id))
    yield f'],\n"data":{_line(reader.data(found.id))}}}\n'


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---- CSV


def csv_tables(reader: Reader | Held, run: str) -> dict[str, Iterable[str]]:
    """The tables of a run, each as its lines: seconds, totals, agents, events, samples."""
    number = reader.run(run).id
    return {
        "seconds": _csv(_SECONDS, _seconds(reader, number)),
        "totals": _csv(_TOTALS, _totals(reader, number)),
        "agents": _csv(_AGENTS, _agents(reader, number)),
        "events": _csv(
            ("second", "kind", "agent", "text", "data"),
            (
                (one.second, one.kind, one.agent, one.text, _line(dict(one.data)))
                for one in reader.events(number)
            ),
        ),
        "samples": _csv(
            _SAMPLES,
            (tuple(getattr(one, name) for name in _SAMPLES) for one in reader.samples(number)),
        ),
    }


_TIMES = ("count", "mean", "least", *(f"p{share:g}" for share in SHOWN), "most")
_ROW = (
    *_COUNTS,
    SERVED,
    *(name for name in OUTCOMES if name not in (SERVED, "dropped")),
    *(f"{name}_{one}" for name in _HISTOGRAMS for one in _TIMES),
)
_TOTALS = ("kind", "name", *_ROW)
_SECONDS = ("kind", "name", "second", *_ROW)
_METERS = tuple(
    field.name for field in attrs.fields(Meters) if field.name not in ("unsound", "lateness")
)
_AGENTS = ("agent", "second", *_METERS, "unsound", *(f"lateness_{one}" for one in _TIMES))
_SAMPLES = tuple(field.name for field in attrs.fields(Sample))


def _row_cells(row: Row) -> tuple[Any, ...]:
    outcomes = (row.outcomes.get(name, 0) for name in OUTCOMES if name != "dropped")
    return (
        *(getattr(row, name) for name in _COUNTS),
        *outcomes,
        *(cell for name in _HISTOGRAMS for cell in _time_cells(getattr(row, name))),
    )


def _time_cells(histogram: Histogram) -> list[Any]:
    found = histogram_data(histogram) or {"count": 0}
    return [found.get(name, "") for name in _TIMES]


def _seconds(reader: Reader | Held, run: str) -> Iterator[tuple[Any, ...]]:
    for kind in KINDS:
        for name in reader.flows(run, kind):
            for second, row in reader.series(run, kind, name).items():
                yield kind, name, second, *_row_cells(row)


def _totals(reader: Reader | Held, run: str) -> Iterator[tuple[Any, ...]]:
    for kind in KINDS:
        for name in reader.flows(run, kind):
            yield kind, name, *_row_cells(reader.total(run, kind, name))


def _agents(reader: Reader | Held, run: str) -> Iterator[tuple[Any, ...]]:
    for agent, seconds in reader.meters(run).items():
        for second, one in seconds.items():
            cells = (getattr(one, name) for name in _METERS)
            yield agent, second, *cells, " ".join(one.unsound), *_time_cells(one.lateness)


def _csv(titles: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    yield _csv_line(titles)
    for row in rows:
        yield _csv_line(row)


def _csv_line(cells: Iterable[Any]) -> str:
    """One line; what a spreadsheet would take for a formula is made harmless."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(
        f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "@", "\t", "\r") else cell
        for cell in cells
    )
    return out.getvalue()

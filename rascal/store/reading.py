"""The reading side: runs, their rows, events and files, also while another process writes them.

Rows come added up over reports and agents. Of a run that has ended the sums over all seconds are
kept once they were asked for (a long run has hundreds of thousands of rows).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rascal.errors import did_you_mean, listed
from rascal.load.packing import Packed, pack_row, unpack_row
from rascal.load.types import Event, Meters, Report, Row, Sample
from rascal.store.database import HASTE, Database
from rascal.store.errors import StoreError
from rascal.store.machine import alive
from rascal.store.measured import StoredRows
from rascal.store.rows import dumps, loads, unpack_meters
from rascal.store.values import Fork, Run

if TYPE_CHECKING:
    from rascal.load.results import Results

LAST = "last"
_RUN = (
    "SELECT id, uid, kind, name, plan, versions, seed, about, host, pid, machine, created, "
    "started, beat, ended, outcome, status, summary, forked_from FROM runs"
)
_EVENT = "SELECT id, second, kind, text, agent, data FROM events"
_ROW = "planned, started, dropped, counts, histograms"


class Reader:
    """Reads runs."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self.database = database
        self._now = now

    # ---- runs

    def runs(
        self,
        *,
        labels: Sequence[str] = (),
        outcomes: Sequence[str] = (),
        kind: str = "",
        name: str = "",
        last: int | None = None,
    ) -> list[Run]:
        """The runs, newest first. An outcome is one that a run ended with, or running or lost."""
        found: list[Run] = []
        for values in self.database.each(f"{_RUN} ORDER BY id DESC"):
            if last is not None and len(found) >= last:
                break
            if (kind and values[2] != kind) or (name and values[3] != name):
                continue
            run = self._run_of(values)
            if outcomes and (run.outcome or run.state) not in outcomes:
                continue
            if all(label in run.labels for label in labels):
                found.append(run)
        return found

    def run(self, which: str) -> Run:
        """A run by its number, by its name (the newest that bears it), the beginning of a name,
        or "last".

        Raises:
            StoreError: there is none, or several could be meant.
        """
        found = self.database.select(f"{_RUN} WHERE id = ?", self.number(which))
        return self._run_of(found[0])

    def number(self, which: str) -> int:
        """The number of that run."""
        word = which.removeprefix("#")
        if word.isdecimal() and word.isascii() and len(word) < 19:
            if self.database.select("SELECT 1 FROM runs WHERE id = ?", int(word)):
                return int(word)
        elif which == LAST:
            newest = self.database.select("SELECT max(id) FROM runs")[0][0]
            if newest is None:
                raise StoreError("nothing has run yet")
            return int(newest)
        names = self.names()
        if which in names:
            return names[which]
        near = {name: number for name, number in names.items() if which and name.startswith(which)}
        if len(near) == 1:
            return next(iter(near.values()))
        if near:
            raise StoreError(f"'{which}' could mean several runs: {listed(near)}")
        if not names:
            raise StoreError(f"there is no run '{which}': nothing has run yet")
        raise StoreError(
            f"there is no run '{which}'; runs: {listed(self._nameable(names), 'rascal runs')}."
            f"{did_you_mean(which, names)}".rstrip(".")
        )

    def names(self) -> dict[str, int]:
        """Names of runs, the newest first, and the newest number of each."""
        found = self.database.select(
            "SELECT name, max(id) FROM runs GROUP BY name ORDER BY max(id) DESC"
        )
        return {str(name): int(number) for name, number in found}

    def labels(self) -> list[str]:
        """All labels that are in use."""
        found = self.database.select("SELECT DISTINCT label FROM labels ORDER BY label")
        return [str(one[0]) for one in found]

    def _nameable(self, names: Iterable[str]) -> list[str]:
        numbers = self.database.select("SELECT id FROM runs ORDER BY id DESC LIMIT 100")
        return [str(one[0]) for one in numbers] + list(names)

    def _run_of(self, values: Sequence[Any]) -> Run:
        number, uid, kind, name, plan, versions, seed, about, host, pid = values[:10]
        machine, created, started, beat, ended, outcome, status, summary, forked = values[10:]
        labels = self.database.select(
            "SELECT label FROM labels WHERE run = ? ORDER BY label", number
        )
        state = "ended"
        if ended is None:
            state = "running" if alive(pid, machine, self._now() - beat) else "lost"
        return Run(
            id=str(number),
            uid=uid,
            kind=kind,
            name=name,
            plan=loads(plan),
            versions=loads(versions),
            seed=None if seed is None else loads(seed),
            about=loads(about),
            host=host or "",
            pid=pid,
            created=created,
            started=started,
            beat=beat,
            ended=ended,
            outcome=outcome or "",
            status=status,
            summary=loads(summary),
            labels=tuple(label for (label,) in labels),
            forked_from=forked or "",
            state=state,
        )

    # ---- what a run was made of

    def sources(self, run: str) -> dict[str, bytes]:
        """The files of its bundle, by name."""
        found = self.database.select(
            "SELECT path, content FROM files JOIN sources USING (digest) WHERE run = ? "
            "ORDER BY path",
            self.number(run),
        )
        return {path: zlib.decompress(content) for path, content in found}

    def digests(self, run: str) -> dict[str, str]:
        """The SHA-256 of each of its files."""
        return dict(
            self.database.select(
                "SELECT path, digest FROM files WHERE run = ? ORDER BY path", self.number(run)
            )
        )

    def fork(self, run: str) -> Fork:
        """Its plan and files, to be changed and run as another; give `forked_from` to create."""
        found = self.run(run)
        return Fork(plan=dict(found.plan), files=self.sources(found.id), forked_from=found.id)

    def data(self, run: str) -> dict[str, Any]:
        """What an experiment kept with it."""
        found = self.database.select(
            "SELECT key, value FROM data WHERE run = ? ORDER BY key", self.number(run)
        )
        return {key: loads(value) for key, value in found}

    # ---- what came out

    def flows(self, run: str, kind: str = "flow") -> list[str]:
        """The names of its flows (or scenarios), in the order of their first calls."""
        found = self.database.select(
            "SELECT name FROM flows WHERE run = ? AND kind = ? ORDER BY id", self.number(run), kind
        )
        return [str(one[0]) for one in found]

    def series(self, run: str, kind: str, flow: str, *, actual: bool = True) -> dict[int, Row]:
        """Its rows by second of intended start, added up over the agents.

        Without `actual` the histograms from the actual start stay empty, which is quicker.
        """
        found: dict[int, Row] = {}
        for second, packed in self._rows(run, kind, flow):
            row = unpack_row(packed, actual=actual)
            if second in found:
                found[second].add(row)
            else:
                found[second] = row
        return found

    def total(self, run: str, kind: str, flow: str) -> Row:
        """All its seconds together."""
        number = self.number(run)
        where = (number, kind, flow)
        kept = self.database.select(
            "SELECT total FROM flows WHERE run = ? AND kind = ? AND name = ?", *where
        )
        if not kept:
            return Row()
        if kept[0][0] is not None:
            return _total(kept[0][0])
        found = Row()
        for _, packed in self._rows(run, kind, flow):
            found.add(unpack_row(packed))
        ended = self.database.select("SELECT ended FROM runs WHERE id = ?", number)[0][0]
        if ended is not None and not self.database.readonly:
            with suppress(StoreError), self.database.writing(HASTE) as write:
                write.execute(
                    "UPDATE flows SET total = ? WHERE run = ? AND kind = ? AND name = ?",
                    (_packed_total(found), *where),
                )
        return found

    def seconds(self, run: str, kind: str = "flow") -> tuple[int, int] | None:
        """The first and the last second that has rows; None if there is none."""
        first, last = self.database.select(
            "SELECT min(second), max(second) FROM rows WHERE flow IN "
            "(SELECT id FROM flows WHERE run = ? AND kind = ?)",
            self.number(run),
            kind,
        )[0]
        return None if first is None else (int(first), int(last))

    def _rows(self, run: str, kind: str, flow: str) -> Iterator[tuple[int, Packed]]:
        for second, *packed in self.database.each(
            f"SELECT second, {_ROW} FROM rows WHERE flow = "
            "(SELECT id FROM flows WHERE run = ? AND kind = ? AND name = ?) ORDER BY second, rowid",
            self.number(run),
            kind,
            flow,
        ):
            yield second, packed

    def meters(self, run: str) -> dict[str, dict[int, Meters]]:
        """How each agent was, by second of its own clock."""
        found: dict[str, dict[int, Meters]] = {}
        for agent, second, *packed in self.database.each(
            "SELECT agent, second, state, lateness FROM meters JOIN reports ON id = report "
            "WHERE run = ? ORDER BY agent, sequence",
            self.number(run),
        ):
            found.setdefault(agent, {})[second] = unpack_meters(*packed)
        return found

    def events(self, run: str, after: int = 0) -> list[Event]:
        """Its timeline, in the order of time."""
        return [event for _, event in sorted(self.news(run, after), key=lambda one: one[1].second)]

    def news(self, run: str, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Events that were put down after that one, and their numbers: for followers."""
        for number, *values in self.database.each(
            f"{_EVENT} WHERE run = ? AND id > ? ORDER BY id", self.number(run), after
        ):
            yield number, _event(values)

    def samples(self, run: str) -> list[Sample]:
        """The failing exchanges that were kept, in the order of time."""
        found = self.database.select(
            "SELECT content FROM samples WHERE run = ? ORDER BY second, id", self.number(run)
        )
        return [Sample(**loads(content)) for (content,) in found]

    def reports(self, run: str, after: int = 0) -> Iterator[tuple[int, Report]]:
        """The reports as they were merged, each behind its number: to follow a run, ask for those
        after the last number seen."""
        number = self.number(run)
        flows = {
            flow: (kind, name)
            for flow, kind, name in self.database.select(
                "SELECT id, kind, name FROM flows WHERE run = ?", number
            )
        }
        for of, agent, sequence, second, last, *meters in self.database.select(
            "SELECT id, agent, sequence, second, last, state, lateness FROM reports "
            "LEFT JOIN meters ON report = id WHERE run = ? AND id > ? ORDER BY id",
            number,
            after,
        ):
            yield (
                of,
                Report(
                    run=str(number),
                    agent=agent,
                    sequence=sequence,
                    second=second,
                    rows=self._rows_of(of, flows),
                    meters=unpack_meters(*meters),
                    samples=self._samples_of(of),
                    events=self._events_of(of),
                    last=bool(last),
                ),
            )

    def _rows_of(
        self, of: int, flows: dict[int, tuple[str, str]]
    ) -> dict[tuple[str, str, int], Row]:
        found = {}
        for flow, second, *packed in self.database.select(
            f"SELECT flow, second, {_ROW} FROM rows WHERE report = ? ORDER BY rowid", of
        ):
            if flow not in flows:  # a flow that came up since the reader began
                flows[flow] = self.database.select(
                    "SELECT kind, name FROM flows WHERE id = ?", flow
                )[0]
            found[*flows[flow], second] = unpack_row(packed)
        return found

    def _samples_of(self, of: int) -> list[Sample]:
        found = self.database.select("SELECT content FROM samples WHERE report = ? ORDER BY id", of)
        return [Sample(**loads(content)) for (content,) in found]

    def _events_of(self, of: int) -> list[Event]:
        found = self.database.select(f"{_EVENT} WHERE report = ? ORDER BY id", of)
        return [_event(values[1:]) for values in found]

    def results(self, run: str) -> Results:
        """All of it, as the coordinator had it: its reports, merged again."""
        from rascal.load.results import Results

        about = self.run(run)
        found = Results(about.id)
        for _, report in self.reports(run):
            found.add(report)
        _bound(found, about)
        return found

    def measured(self, run: str) -> StoredRows:
        """What is measured of it after its end, read flow by flow: quicker than `results`."""
        about = self.run(run)
        found = StoredRows(self, about.id)
        _bound(found, about)
        return found


def _bound(found: Results | StoredRows, about: Run) -> None:
    """The time-out and the deadlines that its calls had."""
    from rascal.language import parse

    with suppress(KeyError, ValueError):  # an experiment's plan has none
        found.timeout = float(parse("duration", about.plan["timeout"]).value)
    told = about.summary.get("deadlines") or {}
    found.deadlines.update(told.get("flows", {}))
    found.scenario_deadlines.update(told.get("scenarios", {}))


def _event(values: Sequence[Any]) -> Event:
    second, kind, text, agent, data = values
    return Event(second=second, kind=kind, text=text, agent=agent, data=loads(data))


def _packed_total(row: Row) -> bytes:
    *counts, histograms = pack_row(row)
    head = dumps(counts).encode()
    return len(head).to_bytes(4, "little") + head + bytes(histograms)


def _total(data: bytes) -> Row:
    size = int.from_bytes(data[:4], "little")
    planned, started, dropped, counts = loads(data[4 : 4 + size].decode())
    return unpack_row((planned, started, dropped, counts, data[4 + size :]))

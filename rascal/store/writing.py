"""The writing side: what coordinator and judge keep of a run. Implements types.RunStore.

A report is written in one short transaction; (run, agent, sequence) is unique, so that it counts
once whoever sends it again. If another process keeps the file locked just then, reports and
events wait in memory for the next call: a reactor with a load on it must not wait.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rascal.load.packing import pack_row
from rascal.load.types import Event, Report
from rascal.store.database import HASTE, PATIENCE, Database
from rascal.store.errors import Busy, Ended, StoreError
from rascal.store.machine import host, process
from rascal.store.rows import dumps, loads, pack_meters

KINDS = ("load", "experiment")
PENDING = 120
"""Reports and events that wait at most while the file is locked."""
BEAT = 5.0
"""Seconds between two signs of life of a run that has nothing to report."""

_ABOUT = ("kind", "name", "versions", "seed", "host", "pid", "started", "labels", "forked_from")


@attrs.define
class _Run:
    """What the writer knows of a run while it goes on."""

    number: int
    seen: set[tuple[str, int]]
    flows: dict[tuple[str, str], int]
    beat: float


class Writer:
    """Writes runs. `now` gives the time of the day."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self.database = database
        self._now = now
        self._known: dict[str, _Run] = {}
        self._pending: deque[tuple[str, Report | Event]] = deque()

    # ---- a run begins and ends

    def create(self, plan: Mapping[str, Any], source: Mapping[str, bytes], **about: Any) -> str:
        """Keep a new run and give its id.

        Args:
            plan: as JSON; what has run is never changed.
            source: the files of its bundle.
            about: kind, name, versions, seed, host, pid, started (time of the day of second 0),
                labels, forked_from; whatever else is told is kept as it is.
        """
        now = self._now()
        pid = about.get("pid") or os.getpid()
        kind = about.get("kind") or "load"
        if kind not in KINDS:
            raise StoreError(f"a run cannot be a '{kind}'; kinds: {', '.join(KINDS)}")
        file = str(plan.get("file") or "")
        seed = about.get("seed", plan.get("seed"))
        values = {
            "uid": about.get("uid") or uuid.uuid4().hex,
            "kind": kind,
            "name": plain(str(about.get("name") or plan.get("name") or _stem(file) or kind)),
            "plan": dumps(dict(plan)),
            "versions": dumps(about.get("versions") or {}),
            "seed": None if seed is None else dumps(seed),
            "about": dumps({k: v for k, v in about.items() if k not in (*_ABOUT, "uid")}),
            "host": about.get("host") or host(),
            "pid": pid,
            "machine": process(pid),
            "created": now,
            "started": about.get("started"),
            "beat": now,
            "forked_from": about.get("forked_from") or None,
        }
        labels = dict.fromkeys((*(about.get("labels") or ()), *(plan.get("labels") or ())))
        with self.database.writing() as write:
            number = insert(write, "runs", values)
            write.executemany(
                "INSERT INTO labels VALUES (?, ?)", [(number, checked(one)) for one in labels]
            )
            put_files(write, number, source)
        self._known[str(number)] = _Run(number, set(), {}, now)
        return str(number)

    def begin(self, run: str, started: float) -> None:
        """Say at which time of the day second 0 was."""
        with self.database.writing() as write:
            write.execute("UPDATE runs SET started = ? WHERE id = ?", (started, self._of(run)))

    def finish(self, run: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """End it: "completed", "stopped", "aborted", "interrupted", "failed", or "refused" if
        no load was ever sent."""
        known = self._run(run)
        self._flush(PATIENCE)
        if self._pending:
            raise Busy(f"{self.database.path}: another process keeps the run store locked")
        status = summary.get("status")
        with self._ended(run), self.database.writing() as write:
            write.execute(
                "UPDATE runs SET ended = ?, outcome = ?, status = ?, summary = ?, beat = ? "
                "WHERE id = ?",
                (
                    self._now(),
                    outcome,
                    status if isinstance(status, int) else None,
                    dumps(dict(summary)),
                    self._now(),
                    known.number,
                ),
            )
        self._known.pop(run, None)

    # ---- while it goes on

    def add(self, run: str, report: Report) -> bool:
        """Merge a report; False if this (agent, sequence) is already there."""
        known = self._run(run)
        key = (report.agent, report.sequence)
        if key in known.seen:
            return False
        known.seen.add(key)
        self._keep(run, report)
        return True

    def event(self, run: str, event: Event) -> None:
        """Put an event on the run's timeline."""
        self._run(run)
        self._keep(run, event)

    def put(self, run: str, key: str, value: Any) -> None:
        """Keep something of an experiment (phases, faults, invariants, verdict) as JSON."""
        with self.database.writing() as write:
            write.execute(
                "INSERT INTO data VALUES (?, ?, ?) "
                "ON CONFLICT (run, key) DO UPDATE SET value = excluded.value",
                (self._of(run), key, dumps(value)),
            )

    def requests(self, run: str) -> list[Mapping[str, Any]]:
        """What others asked of the run since the last look: each has `kind` (stop, change),
        `made`, and whatever belongs to it."""
        known = self._run(run)
        self._flush(HASTE)
        found = self.database.select(
            "SELECT id, kind, made, content FROM requests WHERE run = ? AND taken IS NULL "
            "ORDER BY id",
            known.number,
        )
        now = self._now()
        if found or now - known.beat > BEAT:
            try:
                with self.database.writing(HASTE) as write:
                    write.executemany(
                        "UPDATE requests SET taken = ? WHERE id = ?",
                        [(now, one[0]) for one in found],
                    )
                    write.execute("UPDATE runs SET beat = ? WHERE id = ?", (now, known.number))
            except Busy:
                return []
            known.beat = now
        return [{**loads(content), "kind": kind, "made": made} for _, kind, made, content in found]

    # ---- inside

    def _run(self, run: str) -> _Run:
        known = self._known.get(run)
        if known is None:
            number = self._of(run)
            found = self.database.select("SELECT ended, beat FROM runs WHERE id = ?", number)
            if found[0][0] is not None:
                raise Ended(f"run {run} has ended")
            seen = self.database.select("SELECT agent, sequence FROM reports WHERE run = ?", number)
            flows = self.database.select("SELECT kind, name, id FROM flows WHERE run = ?", number)
            known = self._known[run] = _Run(
                number,
                {(agent, sequence) for agent, sequence in seen},
                {(kind, name): flow for kind, name, flow in flows},
                found[0][1],
            )
        return known

    def _of(self, run: str) -> int:
        found = run.isdecimal() and self.database.select("SELECT id FROM runs WHERE id = ?", run)
        if not found:
            raise StoreError(f"there is no run '{run}'")
        return int(found[0][0])

    def _keep(self, run: str, what: Report | Event) -> None:
        self._pending.append((run, what))
        self._flush(HASTE)
        if len(self._pending) > PENDING:
            self._forget(*self._pending.pop())
            raise Busy(
                f"{self.database.path}: another process keeps the run store locked for too long"
            )

    def _flush(self, patience: float) -> None:
        """Write what waits, in order, each in its own transaction."""
        while self._pending:
            run, what = self._pending[0]
            try:
                with self._ended(run):
                    self._write(self._run(run), what, patience)
            except Busy:
                return
            except Ended:
                self._pending.popleft()
                raise
            except StoreError:
                self._forget(*self._pending.pop())  # the newest: its caller is told
                raise
            self._pending.popleft()

    def _forget(self, run: str, what: Report | Event) -> None:
        """What could not be kept may be given again."""
        known = self._known.get(run)
        if known and isinstance(what, Report):
            known.seen.discard((what.agent, what.sequence))

    def _ended(self, run: str) -> _Ended:
        return _Ended(self, run)

    def _write(self, known: _Run, what: Report | Event, patience: float) -> None:
        """Write one; what no table can hold is told on the timeline, and does not stop the rest."""
        try:
            self._put(known, what, patience)
        except (OverflowError, TypeError, ValueError, struct.error) as error:
            text = f"what agent {what.agent} reported could not be kept: {error}"
            self._put(known, Event(second=what.second, kind="reports_lost", text=text), patience)

    def _put(self, known: _Run, what: Report | Event, patience: float) -> None:
        now = self._now()
        if isinstance(what, Event):
            with self.database.writing(patience) as write:
                write.execute(EVENT, event_values(known.number, None, what))
            return
        rows = [(*key, pack_row(row)) for key, row in what.rows.items()]
        meters = pack_meters(what.meters)
        flows: dict[tuple[str, str], int] = {}
        due = now - known.beat >= 1
        with self.database.writing(patience) as write:
            put_report(write, known.number, what, rows, meters, known.flows, flows)
            if due:
                write.execute("UPDATE runs SET beat = ? WHERE id = ?", (now, known.number))
        known.flows.update(flows)
        known.beat = now if due else known.beat


class _Ended:
    """Says in words that a run has ended meanwhile (a trigger refuses)."""

    def __init__(self, writer: Writer, run: str) -> None:
        self._writer = writer
        self._run = run

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        cause = error.__cause__ if isinstance(error, StoreError) else None
        if isinstance(cause, sqlite3.IntegrityError) and "has ended" in str(cause):
            self._writer._known.pop(self._run, None)
            raise Ended(f"run {self._run} has ended") from error


EVENT = (
    "INSERT INTO events (run, report, second, kind, text, agent, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
SAMPLE = (
    "INSERT INTO samples (run, report, second, flow, outcome, content) VALUES (?, ?, ?, ?, ?, ?)"
)
ROW = (
    "INSERT INTO rows (report, flow, second, planned, started, dropped, counts, histograms) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

PackedRow = tuple[str, str, int, tuple[int, int, int, str, bytes]]


def put_report(
    write: sqlite3.Connection,
    number: int,
    report: Report,
    rows: list[PackedRow],
    meters: tuple[str, bytes],
    known: Mapping[tuple[str, str], int],
    new: dict[tuple[str, str], int],
) -> None:
    """Write a report, unless it is there. Flows that were not known are added to `new`."""
    done = write.execute(
        "INSERT OR IGNORE INTO reports (run, agent, sequence, second, last) VALUES (?, ?, ?, ?, ?)",
        (number, plain(report.agent), report.sequence, report.second, report.last),
    )
    if not done.rowcount:
        return
    of = done.lastrowid
    values = []
    for kind, name, second, packed in rows:
        flow = known.get((kind, name)) or new.get((kind, name))
        if flow is None:
            flow = new[kind, name] = _flow(write, number, kind, name)
        values.append((of, flow, second, *packed))
    write.executemany(ROW, values)
    write.execute("INSERT INTO meters VALUES (?, ?, ?)", (of, *meters))
    for sample in report.samples:
        content = dumps(attrs.asdict(sample))
        write.execute(
            SAMPLE, (number, of, sample.second, plain(sample.flow), sample.outcome, content)
        )
    for event in report.events:
        write.execute(EVENT, event_values(number, of, event))


def _flow(write: sqlite3.Connection, number: int, kind: str, name: str) -> int:
    write.execute(
        "INSERT OR IGNORE INTO flows (run, kind, name) VALUES (?, ?, ?)",
        (number, kind, plain(name)),
    )
    found = write.execute(
        "SELECT id FROM flows WHERE run = ? AND kind = ? AND name = ?", (number, kind, plain(name))
    ).fetchone()
    return int(found[0])


def event_values(number: int, report: int | None, event: Event) -> tuple[Any, ...]:
    """The columns of an event."""
    data = dumps(dict(event.data))
    texts = (event.kind, plain(event.text), plain(event.agent))
    return number, report, event.second, *texts, data


def plain(text: str) -> str:
    """The same as Unicode, whatever bytes it was made of."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def insert(write: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> int:
    """Insert one row, and give its number."""
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    done = write.execute(
        f"INSERT INTO {table} ({columns}) VALUES ({marks})",
        tuple(values.values()),
    )
    return int(done.lastrowid or 0)


def put_files(write: sqlite3.Connection, number: int, files: Mapping[str, bytes]) -> None:
    """Keep the files of a run; the same content once, however many runs had it."""
    for path, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        write.execute(
            "INSERT OR IGNORE INTO sources VALUES (?, ?, ?)",
            (digest, len(content), zlib.compress(content)),
        )
        write.execute("INSERT INTO files VALUES (?, ?, ?)", (number, path, digest))


def checked(label: str) -> str:
    """A label that may be one: no blanks around, none in it that a list could not show."""
    text = str(label).strip()
    if not text or len(text) > 64 or not text.isprintable() or "," in text:
        raise StoreError(f"'{label}' cannot be a label: 1 to 64 characters, without commas")
    return text


def _stem(file: str) -> str:
    return os.path.splitext(os.path.basename(file))[0]

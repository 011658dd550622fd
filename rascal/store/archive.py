"""Runs in files of their own: an archive that another machine reads back, exactly.

An archive is a run store with one run in it, so whatever reads a store reads an archive, and one
of an older Rascal is brought up to date like any store. Numbers of runs, reports and flows are
given anew where it is read in; `uid` stays, so that a run is not read in twice.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rascal.store.database import Database
from rascal.store.errors import StoreError
from rascal.store.reading import Reader
from rascal.store.writing import insert

_BELONG = (
    ("labels", ("label",)),
    ("data", ("key", "value")),
    ("requests", ("kind", "made", "taken", "content")),
)
"""Tables that know only their run."""
_COUNTS = ("planned", "started", "dropped", "counts", "histograms")


def export_archive(database: Database, run: str, path: str) -> None:
    """Write a run that has ended into a new file.

    Raises:
        StoreError: it is still running, the file is there already or cannot be written.
    """
    found = Reader(database).run(run)
    if found.state == "running":
        raise StoreError(f"run {found.id} ({found.name}) is running: export it when it has ended")
    if os.path.exists(path):
        raise StoreError(f"{path}: is there already; name another file, or remove it")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise StoreError(f"{path}: cannot be made: {folder} is no folder that can be written to")
    # Made beside it and moved there when it is whole.
    part = f"{path}.{os.getpid()}.part"
    try:
        target = Database(part)
        try:
            with target.writing() as write:
                copy(database, int(found.id), write)
            with target.words():
                target.connection.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()
        os.replace(part, path)
    except StoreError as error:
        raise StoreError(str(error).replace(part, path)) from error
    finally:
        for rest in (part, f"{part}-wal", f"{part}-shm", f"{part}-journal"):
            Path(rest).unlink(missing_ok=True)


def import_archive(database: Database, path: str) -> list[str]:
    """Read the runs of an archive (or of another store), and give their new ids.

    Raises:
        StoreError: it is no archive, damaged, or all its runs are here already.
    """
    with _opened(path) as source:
        numbers = source.select("SELECT id, uid, name FROM runs ORDER BY id")
        if not numbers:
            raise StoreError(f"{path}: no run is in there")
        new: list[str] = []
        for number, uid, name in numbers:
            here = database.select("SELECT id FROM runs WHERE uid = ?", uid)
            if here and len(numbers) == 1:
                raise StoreError(f"{path}: run '{name}' is here already, as {here[0][0]}")
            if not here:
                with database.writing() as write:
                    new.append(str(copy(source, number, write)))
        if not new:
            raise StoreError(f"{path}: all its {len(numbers)} runs are here already")
        return new


@contextmanager
def _opened(path: str) -> Iterator[Database]:
    """A copy of the file, brought up to date; its own stays as it is."""
    if not os.path.isfile(path):
        raise StoreError(f"{path}: there is no such file")
    with tempfile.TemporaryDirectory(prefix="rascal-") as folder:
        place = os.path.join(folder, "runs.db")
        try:
            shutil.copyfile(path, place)
            if os.path.exists(f"{path}-wal"):
                shutil.copyfile(f"{path}-wal", f"{place}-wal")
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            _check_format(place)
            source = Database(place)
        except StoreError as error:
            raise StoreError(str(error).replace(place, path)) from error
        try:
            source.connection.execute("PRAGMA trusted_schema = OFF")
            with source.words():
                if source.connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                    raise StoreError(f"{path}: damaged; export it again where the run was made")
            yield source
        except StoreError as error:
            if place in str(error):
                raise StoreError(str(error).replace(place, path)) from error
            raise
        finally:
            source.close()


def _check_format(place: str) -> None:
    with open(place, "rb") as file:
        if file.read(15) != b"SQLite format 3":
            raise StoreError(f"{place}: not an archive of a run (rascal runs export RUN FILE)")


def copy(source: Database, number: int, write: sqlite3.Connection) -> int:
    """Copy all of a run into an open transaction on another file, and give its number there."""
    run = _one(source, "runs", number)
    ended = {name: run.pop(name) for name in ("ended", "outcome")}
    new = insert(write, "runs", {k: v for k, v in run.items() if k != "id"})
    for table, columns in _BELONG:
        names = ", ".join(columns)
        for values in source.each(f"SELECT {names} FROM {table} WHERE run = ?", number):
            insert(write, table, {"run": new, **dict(zip(columns, values, strict=True))})
    for path, digest, size, content in source.each(
        "SELECT path, digest, size, content FROM files JOIN sources USING (digest) WHERE run = ?",
        number,
    ):
        write.execute("INSERT OR IGNORE INTO sources VALUES (?, ?, ?)", (digest, size, content))
        write.execute("INSERT INTO files VALUES (?, ?, ?)", (new, path, digest))
    _copy_reports(source, number, write, new)
    write.execute(
        "UPDATE runs SET ended = ?, outcome = ? WHERE id = ?",
        (ended["ended"], ended["outcome"], new),
    )
    return new


def _copy_reports(source: Database, number: int, write: sqlite3.Connection, new: int) -> None:
    flows: dict[int, int] = {}
    for old, kind, name in source.each(
        "SELECT id, kind, name FROM flows WHERE run = ? ORDER BY id", number
    ):
        flows[old] = insert(write, "flows", {"run": new, "kind": kind, "name": name})
    reports: dict[int | None, int | None] = {None: None}
    for old, *values in source.each(
        "SELECT id, agent, sequence, second, last FROM reports WHERE run = ? ORDER BY id", number
    ):
        names = ("agent", "sequence", "second", "last")
        reports[old] = insert(
            write, "reports", {"run": new, **dict(zip(names, values, strict=True))}
        )
    of_run = "report IN (SELECT id FROM reports WHERE run = ?)"
    write.executemany(
        f"INSERT INTO rows VALUES (?, ?, ?, {', '.join('?' * len(_COUNTS))})",
        (
            (reports[report], flows[flow], *values)
            for report, flow, *values in source.each(
                f"SELECT report, flow, second, {', '.join(_COUNTS)} FROM rows WHERE {of_run} "
                "ORDER BY rowid",
                number,
            )
        ),
    )
    write.executemany(
        "INSERT INTO meters VALUES (?, ?, ?)",
        (
            (reports[report], *values)
            for report, *values in source.each(
                f"SELECT report, state, lateness FROM meters WHERE {of_run}", number
            )
        ),
    )
    for table, columns in (
        ("samples", ("second", "flow", "outcome", "content")),
        ("events", ("second", "kind", "text", "agent", "data")),
    ):
        for report, *values in source.each(
            f"SELECT report, {', '.join(columns)} FROM {table} WHERE run = ? ORDER BY id", number
        ):
            content = dict(zip(columns, values, strict=True))
            insert(write, table, {"run": new, "report": reports[report], **content})


def _one(source: Database, table: str, number: int) -> dict[str, Any]:
    names = [one[1] for one in source.select(f"PRAGMA table_info({table})")]
    found = source.select(f"SELECT {', '.join(names)} FROM {table} WHERE id = ?", number)
    return dict(zip(names, found[0], strict=True))

"""The one file: where it is, opening it, its version, transactions, errors in words.

One connection a process, used by one thread. Readers never wait for a writer (WAL). A commit
does not wait for the disk: a crash of the machine may cost the last seconds, never the file. The
log is folded into the file by a short thread of its own, so that the reactor which runs the load
does not wait for the disk either.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rascal.store.errors import StoreError, worded
from rascal.store.schema import MIGRATIONS, VERSION

PATIENCE = 5.0
"""Seconds to wait while another process writes, where nothing depends on it."""
HASTE = 0.02
"""The same where a reactor with a load on it waits."""
FOLD = 4 << 20
"""Bytes of the log from which on it is folded into the file, at most every FOLD_EVERY seconds."""
FOLD_EVERY = 20.0


def default_path() -> Path:
    """RASCAL_STORE, else rascal/runs.db in the user's data folder."""
    given = os.environ.get("RASCAL_STORE")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("XDG_DATA_HOME")
    base = Path(home) if home and os.path.isabs(home) else Path.home() / ".local" / "share"
    return base / "rascal" / "runs.db"


class Database:
    """An open file. `readonly` never writes, and reads also where it may not write."""

    def __init__(self, path: str | os.PathLike[str] | None = None, *, readonly: bool = False):
        self.path = str(path or default_path())
        self.readonly = readonly
        self._folding: threading.Thread | None = None
        self._folded = time.monotonic()
        self._wait = PATIENCE
        if readonly:
            self.connection = self._open_to_read()
        else:
            self.connection = self._open_to_write()

    # ---- opening

    def _open_to_read(self) -> sqlite3.Connection:
        if not os.path.exists(self.path):
            raise StoreError(f"{self.path}: there is no run store yet; rascal load run makes one")
        uri = Path(self.path).absolute().as_uri()
        try:
            return self._checked(f"{uri}?mode=ro")
        except StoreError:
            # Nothing may be written beside the file: if no log stands there it is complete.
            if os.access(os.path.dirname(os.path.abspath(self.path)), os.W_OK) or (
                os.path.exists(f"{self.path}-wal") and os.path.getsize(f"{self.path}-wal")
            ):
                raise
            return self._checked(f"{uri}?mode=ro&immutable=1")

    def _checked(self, uri: str) -> sqlite3.Connection:
        with self.words():
            connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
            try:
                version = self._version(connection)
                if version == 0:
                    raise StoreError(f"{self.path}: not a run store")
                if version < VERSION:
                    raise StoreError(
                        f"{self.path}: written by an older Rascal, and cannot be brought up to "
                        "date here: it may only be read"
                    )
            except BaseException:
                connection.close()
                raise
            return connection

    def _open_to_write(self) -> sqlite3.Connection:
        self._make_file()
        with self.words():
            connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            try:
                self._version(connection)
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only in a new file
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _make_file(self) -> None:
        """An empty file that only its owner may read, unless there is one."""
        folder = os.path.dirname(os.path.abspath(self.path))
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            if os.path.isdir(self.path):
                raise StoreError(f"{self.path}: that is a folder; name a file") from None
            if not os.path.isdir(folder):
                raise StoreError(f"{folder}: not a folder; set RASCAL_STORE to a file") from None
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be made ({error.strerror}); set RASCAL_STORE to a file "
                "that can be written"
            ) from error

    def _version(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"{self.path}: written by a newer Rascal (version {version} of the tables, this "
                f"one knows up to {VERSION}); use that one, or set RASCAL_STORE to another file"
            )
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables:
            raise StoreError(f"{self.path}: a database, but not a run store; name another file")
        return version

    def _migrate(self, connection: sqlite3.Connection) -> None:
        while (version := self._version(connection)) < VERSION:
            connection.execute("BEGIN IMMEDIATE")
            try:
                if self._version(connection) == version:
                    for statement in _statements(MIGRATIONS[version]):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {version + 1}")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Give the file back. Whoever closes it last folds the log in."""
        if self._folding is not None:
            self._folding.join()
            self._folding = None
        self.connection.close()

    # ---- using

    @contextmanager
    def words(self) -> Iterator[None]:
        """Turn what SQLite raises into a line for people."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            raise worded(error, self.path) from error

    def wait(self, seconds: float) -> None:
        """How long to wait from now on while another process writes."""
        if seconds != self._wait:
            self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
            self._wait = seconds

    @contextmanager
    def writing(self, seconds: float = PATIENCE) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing."""
        if self.readonly:
            raise StoreError(f"{self.path}: opened to be read only")
        connection = self.connection
        with self.words():
            self.wait(seconds)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        self._fold()

    def select(self, statement: str, *values: Any) -> list[Any]:
        """All rows of a query."""
        with self.words():
            return self.connection.execute(statement, values).fetchall()

    def each(self, statement: str, *values: Any) -> Iterator[Any]:
        """The same, one after the other."""
        with self.words():
            yield from self.connection.execute(statement, values)

    def _fold(self) -> None:
        now = time.monotonic()
        if now - self._folded < FOLD_EVERY or (self._folding and self._folding.is_alive()):
            return
        self._folded = now
        try:
            size = os.path.getsize(f"{self.path}-wal")
        except OSError:
            return
        if size > FOLD:
            self._folding = threading.Thread(target=_fold, args=(self.path,), daemon=True)
            self._folding.start()


def _fold(path: str) -> None:
    """Move the log into the file; what fails now is done the next time."""
    try:
        connection = sqlite3.connect(path, timeout=HASTE)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()
    except sqlite3.Error:
        return


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; executescript would end our transaction."""
    rest = ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            yield rest
            rest = ""

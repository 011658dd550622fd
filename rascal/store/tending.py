"""What others may do to runs: ask something of one that goes on, label, delete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rascal.load.types import Event
from rascal.store.errors import StoreError
from rascal.store.reading import Reader
from rascal.store.rows import dumps
from rascal.store.values import Run
from rascal.store.writing import EVENT, checked, event_values

REQUESTS = ("stop", "change", "fault", "label")


class Tender(Reader):
    """Tends to runs that others made."""

    def ask(self, run: str, kind: str, **content: Any) -> str:
        """Ask a run that goes on to stop, to change its profile, or to move a planned fault; its
        process looks about once a second. Gives the run's number.

        Raises:
            StoreError: it has ended, or its process is gone.
        """
        if kind not in REQUESTS:
            raise StoreError(f"a run cannot be asked to '{kind}'; {', '.join(REQUESTS)}")
        found = self.run(run)
        if found.state == "ended":
            raise StoreError(f"run {found.id} ({found.name}) has ended: {found.outcome}")
        if found.state == "lost":
            raise StoreError(
                f"run {found.id} ({found.name}) is lost: its process on {found.host} is gone"
            )
        with self.database.writing() as write:
            write.execute(
                "INSERT INTO requests (run, kind, made, content) VALUES (?, ?, ?, ?)",
                (int(found.id), kind, self._now(), dumps(content)),
            )
        return found.id

    def taken(self, run: str) -> bool:
        """Whether the run has seen all that was asked of it."""
        return not self.database.select(
            "SELECT 1 FROM requests WHERE run = ? AND taken IS NULL", self.number(run)
        )

    def note(self, run: str, event: Event) -> None:
        """Put what others did onto the timeline of a run that goes on.

        Raises:
            StoreError: there is no such run.
        """
        number = self.number(run)
        with self.database.writing() as write:
            write.execute(EVENT, event_values(number, None, event))

    def label(self, run: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Run:
        """Give it labels, or take some away."""
        number = self.number(run)
        with self.database.writing() as write:
            write.executemany(
                "INSERT OR IGNORE INTO labels VALUES (?, ?)",
                [(number, checked(one)) for one in add],
            )
            write.executemany(
                "DELETE FROM labels WHERE run = ? AND label = ?", [(number, one) for one in remove]
            )
        return self.run(str(number))

    def delete(self, run: str) -> Run:
        """Take a run and all that belongs to it away.

        Raises:
            StoreError: it is running.
        """
        found = self.run(run)
        if found.state == "running":
            raise StoreError(
                f"run {found.id} ({found.name}) is running; stop it first: "
                f"rascal load stop {found.id}"
            )
        with self.database.writing() as write:
            write.execute("DELETE FROM runs WHERE id = ?", (int(found.id),))
            write.execute(
                "DELETE FROM sources WHERE NOT EXISTS "
                "(SELECT 1 FROM files WHERE files.digest = sources.digest)"
            )
        with self.database.words():
            # execute() would give back one page: this pragma wants a step for each.
            self.database.connection.executescript("PRAGMA incremental_vacuum")
        return found

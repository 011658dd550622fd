"""What was struck and is not undone yet, one small file each, so that nothing stays broken.

A file is written before the strike and removed after it is undone. What is left over belongs to a
process that died, and `recover` undoes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs

from rascal.containers.errors import ContainerError


def default_folder() -> Path:
    """$XDG_STATE_HOME/rascal/struck."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "rascal" / "struck"


@attrs.frozen(kw_only=True)
class Entry:
    """One strike."""

    container: str
    name: str
    kind: str
    data: dict[str, Any]
    pid: int
    owner: str = ""
    """The run that struck it."""
    path: Path | None = None

    @property
    def alive(self) -> bool:
        """The process that struck it still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


class Journal:
    """A folder of entries."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def write(self, entry: Entry) -> Path:
        """Put it on the disk, before anything happens; raises ContainerError."""
        path = self.folder / f"{uuid4().hex}.json"
        data = attrs.asdict(entry)
        data.pop("path")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.open("w", encoding="utf-8") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ContainerError(
                f"{path} cannot be written, so the strike could not be undone if this process "
                f"died: {error.strerror}"
            ) from error
        return path

    def entries(self) -> Iterator[Entry]:
        """All, the oldest first; files that are not ours are left alone."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.json"), key=lambda one: one.stat().st_mtime):
            try:
                data = json.loads(path.read_text("utf-8"))
                yield Entry(**data, path=path)
            except (OSError, ValueError, TypeError):
                continue


def recover(client: Any = None, journal: Journal | None = None) -> list[tuple[Entry, str]]:
    """Undo what dead processes left; each entry with "" or why it could not be undone.

    Blocking: for the command line.
    """
    from rascal.containers.engine import connect, undo_entry

    found = [entry for entry in (journal or Journal()).entries() if not entry.alive]
    if not found:
        return []
    client = client or connect()
    outcomes = []
    for entry in found:
        try:
            undo_entry(client, entry)
        except ContainerError as error:
            outcomes.append((entry, str(error)))
            continue
        outcomes.append((entry, ""))
    return outcomes

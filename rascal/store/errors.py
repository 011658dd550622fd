"""What can go wrong with the file that keeps the runs, each in one line that names it."""

from __future__ import annotations

import os
import sqlite3

from rascal.errors import RascalError


class StoreError(RascalError):
    """The run store cannot do what was asked: no space, locked, damaged, no such run."""


class Busy(StoreError):
    """Another process writes, and went on for longer than we wait."""


class Ended(StoreError):
    """A run that has ended takes no more reports and no requests."""


def worded(error: sqlite3.Error, path: str) -> StoreError:
    """The same in words, for the one who reads it."""
    code = (getattr(error, "sqlite_errorname", "") or "").removeprefix("SQLITE_")
    if code.startswith(("BUSY", "LOCKED")):
        return Busy(f"{path}: another process keeps the run store locked; try again in a moment")
    if code.startswith("FULL"):
        return StoreError(
            f"{path}: the disk is full; make room (rascal runs delete) or set RASCAL_STORE"
        )
    if code.startswith(("CORRUPT", "NOTADB")):
        return StoreError(
            f"{path}: damaged, or not a run store; move it away, or set RASCAL_STORE to another"
        )
    if code.startswith("READONLY") or (code.startswith(("CANTOPEN", "PERM", "AUTH"))):
        return StoreError(f"{path}: {_shut(path)}; give access, or set RASCAL_STORE to another")
    if code.startswith("IOERR"):
        return StoreError(f"{path}: the disk failed ({code.lower()}); the last seconds may be lost")
    if code.startswith("TOOBIG"):
        return StoreError(f"{path}: what was to be kept is larger than SQLite takes")
    return StoreError(f"{path}: {error}")


def _shut(path: str) -> str:
    """What keeps us from reading or writing there."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        return "that is a folder, and must be a file"
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    if os.path.exists(path) and not os.access(path, os.R_OK):
        return "the run store may not be read by this user"
    if not os.access(folder, os.W_OK):
        return "its folder cannot be written to"
    return "the run store cannot be written to"

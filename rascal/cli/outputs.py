"""Files that a run is written into: flags, the check that they can be written, the writing.

`rascal load run` writes at its end, over what is there; `rascal runs export` at any time, and only
over what is there if it is told to. A file is written whole or not at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

import attrs

from rascal.errors import ConfigError, RascalError

if TYPE_CHECKING:
    from rascal.load.outputs.gathered import Gathered
    from rascal.store.held import Held
    from rascal.store.reading import Reader

TERMINAL = "-"
FLAGS: dict[str, tuple[str, str]] = {
    "json": ("FILE", "All of it as JSON."),
    "csv": ("FOLDER", "Tables as CSV, the seconds first; FILE.csv: the seconds alone."),
    "junit": ("FILE", "Checks and objectives as JUnit XML, for CI systems."),
    "html": ("FILE", "A page with plots that needs no other file."),
    "hdr": ("FILE", "An HdrHistogram log."),
}
"""Of both commands; values are paths."""


class OutputError(RascalError):
    """A file cannot be written."""


@attrs.frozen(kw_only=True)
class Outputs:
    """What is to be written, and where."""

    paths: Mapping[str, str]
    """By the names of FLAGS."""
    force: bool = True
    """Write over what is there."""

    def __bool__(self) -> bool:
        return bool(self.paths)

    def check(self) -> None:
        """Find out whether it can be written. Folders for tables are made. Raises ConfigError."""
        seen: dict[str, str] = {}
        for name, path in self.paths.items():
            if not path:
                raise ConfigError("into which file?", option=name)
            place = os.path.realpath(path)
            if place in seen and path != TERMINAL:
                raise ConfigError(f"--{name} and --{seen[place]} are both '{path}'", value=path)
            seen[place] = name
            try:
                if name == "csv" and is_folder(path):
                    _make(path)
                    _try(os.path.join(path, "seconds.csv"), force=self.force)
                else:
                    _try(path, force=self.force)
            except OSError as error:
                raise ConfigError(
                    f"{path}: cannot be written ({error.strerror})", option=name, value=path
                ) from error

    def write(self, source: Reader | Held, run: str) -> tuple[list[str], list[str]]:
        """Write all of a run: the paths of what is written, and what could not be written."""
        read = _Read(source, run)
        written: list[str] = []
        problems: list[str] = []
        for name, maker in _MAKERS.items():
            if name not in self.paths:
                continue
            try:
                for path, pieces in maker(self.paths[name], read):
                    put(path, pieces, self.force)
                    written.append(path)
            except OutputError as error:
                problems.append(f"--{name}: {error}")
            except OSError as error:
                problems.append(f"--{name}: {error.strerror or error}")
        return written, problems


class _Read:
    """A run, read once for all that is made of it."""

    def __init__(self, source: Reader | Held, run: str) -> None:
        self.source = source
        self.run = run

    @cached_property
    def gathered(self) -> Gathered:
        """For pages and checks."""
        from rascal.load.outputs.gathered import gather

        return gather(self.source, self.run)


def is_folder(path: str) -> bool:
    """Whether tables go into a folder of this name."""
    if path.endswith(("/", os.sep)) or os.path.isdir(path):
        return True
    return path != TERMINAL and not os.path.splitext(path)[1] and not os.path.exists(path)


def _json(path: str, it: _Read) -> Iterator[tuple[str, Iterable[str]]]:
    from rascal.store.export import export_json

    yield path, export_json(it.source, it.run)


def _csv(path: str, it: _Read) -> Iterator[tuple[str, Iterable[str]]]:
    from rascal.store.export import csv_tables

    tables = csv_tables(it.source, it.run)
    if not is_folder(path):
        yield path, tables["seconds"]
        return
    _make(path)
    for name, lines in tables.items():
        yield os.path.join(path, f"{name}.csv"), lines


def _junit(path: str, it: _Read) -> Iterator[tuple[str, Iterable[str]]]:
    from rascal.load.outputs.junit import junit

    yield path, (junit(it.gathered),)


def _html(path: str, it: _Read) -> Iterator[tuple[str, Iterable[str]]]:
    from rascal.load.outputs.html import html

    yield path, (html(it.gathered),)


def _hdr(path: str, it: _Read) -> Iterator[tuple[str, Iterable[str]]]:
    from rascal.load.hdrlog import log_lines

    started = it.source.run(it.run).started or 0.0
    results = it.source.results(it.run)
    yield path, (f"{line}\n" for line in log_lines(results, started))


_Maker = Callable[[str, _Read], Iterator[tuple[str, Iterable[str]]]]
_MAKERS: dict[str, _Maker] = {
    "json": _json,
    "csv": _csv,
    "junit": _junit,
    "html": _html,
    "hdr": _hdr,
}


# ---- files


def put(path: str, pieces: Iterable[str], force: bool) -> None:
    """Write a file. Raises OutputError."""
    with opened(path, force) as file:
        for piece in pieces:
            file.write(piece)


@contextmanager
def opened(path: str, force: bool) -> Iterator[IO[str]]:
    """A file to write text into: whole or not at all; - is standard output. Raises OutputError."""
    if path == TERMINAL:
        yield sys.stdout
        return
    if os.path.exists(path) and not force:
        raise OutputError(f"{path}: is there already; name another file, or say --force")
    place = os.path.realpath(path)
    whole = not os.path.exists(place) or os.path.isfile(place)
    part = f"{place}.{os.getpid()}.part" if whole else place
    try:
        with open(part, "w", encoding="utf-8") as file:
            yield file
        if whole:
            os.replace(part, place)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        if whole:
            Path(part).unlink(missing_ok=True)


def _make(folder: str) -> None:
    """The folder, but not those above it: a slip of the pen is not to become a tree."""
    with suppress(FileExistsError):
        os.mkdir(folder)


def _try(path: str, *, force: bool) -> None:
    """Raise the OSError that writing would meet, as far as one can know."""
    if path == TERMINAL or (os.path.exists(path) and not force):
        return  # who must not overwrite says so when it comes to it
    place = os.path.realpath(path)
    if os.path.isdir(place):
        raise IsADirectoryError(21, "it is a folder")
    if os.path.exists(place) and not os.path.isfile(place):
        os.close(os.open(place, os.O_WRONLY | os.O_NONBLOCK))
        return
    part = f"{place}.{os.getpid()}.part"
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with suppress(OSError):
        os.unlink(part)

"""`rascal runs export`, `import` and `sources`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from rascal.cli.output import as_json, grid, number, say
from rascal.cli.runs.common import reading, run_names, tending
from rascal.store import Store, StoreError
from rascal.store.archive import export_archive, import_archive
from rascal.store.export import csv_tables, export_json, run_json


@click.command()
@click.argument("run", shell_complete=run_names)
@click.argument("archive", required=False, type=click.Path(dir_okay=False))
@click.option("--json", "to_json", metavar="FILE", help="All of it as JSON; - is the terminal.")
@click.option("--csv", "to_csv", metavar="FILE", help="Each second of each flow; see below.")
@click.option("--hdr", "to_hdr", metavar="FILE", help="As an HdrHistogram log.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def export(
    run: str,
    archive: str | None,
    to_json: str | None,
    to_csv: str | None,
    to_hdr: str | None,
    force: bool,
) -> None:
    """Write RUN into files for other programs, or all of it into ARCHIVE for another machine.

    An archive holds the run as it is, with its scenario files and with what stands in the plan
    (headers and passwords too); JSON and CSV have what looks like a secret masked. `rascal runs
    import ARCHIVE` reads it. --csv into a folder writes seconds.csv, totals.csv, agents.csv,
    events.csv and samples.csv there.
    """
    _export(run=run, archive=archive, files=(to_json, to_csv, to_hdr), force=force)


def _export(
    run: str, archive: str | None, files: tuple[str | None, str | None, str | None], force: bool
) -> None:
    from rascal.cli.output import cannot

    with cannot(), Store(readonly=True) as store:
        number = store.run(run).id
        to_json, to_csv, to_hdr = files
        if not archive and not any(files):
            raise StoreError("into what? name an archive, or --json FILE, --csv FILE, --hdr FILE")
        if to_json:
            _write(to_json, export_json(store, number), force)
        if to_csv:
            _csv(store, number, to_csv, force)
        if to_hdr:
            _hdr(store, number, to_hdr, force)
        if archive:
            if force and os.path.isfile(archive):
                os.remove(archive)
            export_archive(store.database, number, archive)
            say(f"run {number} is in {archive}", err=True)


def _csv(store: Store, run: str, target: str, force: bool) -> None:
    tables = csv_tables(store, run)
    if target.endswith("/") or os.path.isdir(target):
        os.makedirs(target, exist_ok=True)
        for name, lines in tables.items():
            _write(os.path.join(target, f"{name}.csv"), lines, force)
    else:
        _write(target, tables["seconds"], force)


def _hdr(store: Store, run: str, target: str, force: bool) -> None:
    from rascal.load.hdrlog import log_lines

    started = store.run(run).started or 0.0
    _write(target, (f"{line}\n" for line in log_lines(store.results(run), started)), force)


def _write(path: str, pieces: Iterable[str], force: bool) -> None:
    with opened(path, force) as file:
        for piece in pieces:
            file.write(piece)
    if path != "-":
        say(f"wrote {path}", err=True)


@contextmanager
def opened(path: str, force: bool) -> Iterator[IO[str]]:
    """A file to write text into: whole or not at all; - is standard output."""
    if path == "-":
        yield sys.stdout
        return
    if os.path.exists(path) and not force:
        raise StoreError(f"{path}: is there already; name another file, or say --force")
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        Path(part).unlink(missing_ok=True)


@click.command("import")
@click.argument("archive", type=click.Path())
@tending
def import_(store: Store, archive: str, json_: bool) -> None:
    """Read the runs of ARCHIVE; they get new numbers here."""
    numbers = import_archive(store.database, archive)
    found = [store.run(one) for one in numbers]
    if json_:
        as_json([run_json(one, plan=False) for one in found])
        return
    for one in found:
        say(f"run {one.id}: {one.name}, run on {one.host}")


@click.command()
@click.argument("run", default="last", shell_complete=run_names)
@click.option("--into", metavar="FOLDER", help="Write them there, to change and run them again.")
@reading
def sources(store: Store, run: str, into: str | None, json_: bool) -> None:
    """List the files that RUN was made of; they are kept as they were."""
    files = store.sources(run)
    digests = store.digests(run)
    if into:
        for name, content in files.items():
            _put(into, name, content)
    if json_:
        as_json(
            {name: {"sha256": digests[name], "size": len(files[name])} for name in sorted(files)}
        )
        return
    if into:
        say(f"wrote {', '.join(files) or 'nothing'} into {into}")
        return
    grid(
        ("FILE", "SIZE", "SHA-256"),
        [(name, number(len(files[name])), digests[name]) for name in files],
        right=("SIZE",),
        empty="no files were kept with it",
    )


def _put(folder: str, name: str, content: bytes) -> None:
    """Write one file, inside the folder and over nothing."""
    home = Path(folder).resolve()
    place = (home / name).resolve()
    if not place.is_relative_to(home):
        raise StoreError(f"'{name}' would not lie in {folder}: it is not written")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "xb") as file:
            file.write(content)
    except FileExistsError:
        raise StoreError(f"{place}: is there already; name an empty folder") from None
    except OSError as error:
        raise StoreError(f"{place}: cannot be written ({error.strerror})") from error

"""`rascal runs export`, `import` and `sources`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rascal.cli.output import as_json, grid, number, say
from rascal.cli.outputs import FLAGS, Outputs
from rascal.cli.runs.common import reading, run_names, tending
from rascal.store import Store, StoreError
from rascal.store.archive import export_archive, import_archive
from rascal.store.export import run_json


def _file_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, (metavar, text) in reversed(FLAGS.items()):
        function = click.option(f"--{name}", metavar=metavar, help=text)(function)
    return function


@click.command()
@click.argument("run", shell_complete=run_names)
@click.argument("archive", required=False, type=click.Path(dir_okay=False))
@_file_flags
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def export(run: str, archive: str | None, force: bool, **paths: str | None) -> None:
    """Write RUN into files for people and other programs, or into ARCHIVE for another machine.

    An archive holds the run as it is, with its scenario files and with what stands in the plan
    (headers and passwords too); in all else what looks like a secret is masked. `rascal runs
    import ARCHIVE` reads it. --csv into a folder writes seconds.csv, totals.csv, agents.csv,
    events.csv and samples.csv there. A file that is - is the terminal.
    """
    outputs = Outputs(paths={name: path for name, path in paths.items() if path}, force=force)
    _export(run, archive, outputs)


def _export(run: str, archive: str | None, outputs: Outputs) -> None:
    from rascal.cli.output import cannot

    with cannot(), Store(readonly=True) as store:
        number = store.run(run).id
        if not archive and not outputs:
            flags = ", ".join(f"--{name} {value}" for name, (value, _) in FLAGS.items())
            raise StoreError(f"into what? name an archive, or {flags}")
        outputs.check()
        written, problems = outputs.write(store, number)
        for path in written:
            if path != "-":
                say(f"wrote {path}", err=True)
        if problems:
            raise StoreError("; ".join(problems))
        if archive:
            if outputs.force and os.path.isfile(archive):
                os.remove(archive)
            export_archive(store.database, number, archive)
            say(f"run {number} is in {archive}", err=True)


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

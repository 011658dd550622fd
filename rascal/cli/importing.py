"""`rascal import vaurien FILE…`: other tools' files as a proxies.ini."""

from __future__ import annotations

import os
from pathlib import Path

import click

from rascal.cli.output import CANNOT, NOT_WELL, leave, many, say
from rascal.errors import ConfigErrors


@click.group(name="import")
def import_() -> None:
    """Make a proxies.ini of another tool's files.

    What is unknown in them is an error with file and line, and nothing is written. What is
    different now, and better, is listed on standard error.
    """


@import_.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option("-o", "--output", type=click.Path(), help="Write it there; without it, show it.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
def vaurien(files: tuple[str, ...], output: str | None, force: bool) -> None:
    """Make one proxies.ini of Vaurien's FILEs, with a proxy for each.

    Exit status: 0 all well, 1 something in the files is wrong, 2 they cannot be read, or the
    output cannot be written.
    """
    from rascal.config.vaurien import import_vaurien

    try:
        found = import_vaurien(files, os.environ)
    except ConfigErrors as errors:
        for finding in errors.findings:
            say(str(finding), err=True)
        unreadable = all(one.code == "file" and not one.line for one in errors.findings)
        leave(CANNOT if unreadable else NOT_WELL)
    if output is None:
        click.echo(found.text, nl=False)
    else:
        try:
            with Path(output).open("w" if force else "x", encoding="utf-8") as file:
                file.write(found.text)
        except FileExistsError:
            say(f"'{output}' is there already: --force replaces it", err=True)
            leave(CANNOT)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            say(f"'{output}' cannot be written: {why}", err=True)
            leave(CANNOT)
        say(f"{output}: {many(len(files), 'proxy')}; rascal check {output}")
    if found.notes:
        say("different now:", err=True)
        for note in found.notes:
            say(f"  {note}", err=True)

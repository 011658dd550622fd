"""How the command talks: tables, paragraphs, errors. Colours only on a terminal (NO_COLOR).

Errors go to standard error, one line each, as the language words them: where, what is wrong,
what is allowed, the nearest name.
"""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from rascal.errors import ConfigError, RascalError
from rascal.language.errors import LanguageError

NOT_WELL = 1
CANNOT = 2
GAP = "  "


def width() -> int:
    """Columns to write in; wide where nobody looks, so that tables in pipes keep their lines."""
    return shutil.get_terminal_size((100, 24)).columns


def colour() -> bool | None:
    """False where NO_COLOR is set (whatever it says), else what click finds out."""
    return False if os.environ.get("NO_COLOR") else None


def say(text: str = "", *, err: bool = False) -> None:
    """One line or several."""
    click.echo(text, err=err, color=colour())


def heading(text: str) -> None:
    """A title above what follows."""
    say()
    say(click.style(text.upper(), bold=True))


def paragraph(text: str, indent: str = "") -> None:
    """Text, filled to the width."""
    say(textwrap.fill(text, min(width(), 100), initial_indent=indent, subsequent_indent=indent))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they must be; the last one is wrapped to what is left of the line."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles) - 1)]
    taken = sum(widths) + len(GAP) * len(widths)
    rest = max(30, min(width(), 120) - taken)

    def line(cells: Sequence[str], bold: bool = False) -> None:
        last = textwrap.wrap(cells[-1], rest) or [""]
        front = GAP.join(cell.ljust(size) for cell, size in zip(cells, widths, strict=False))
        text = f"{front}{GAP}{last[0]}".rstrip() if widths else last[0]
        say(click.style(text, bold=True) if bold else text)
        for more in last[1:]:
            say(" " * taken + more)

    if any(titles):
        line(titles, bold=True)
    for row in rows:
        line(row)


def as_json(data: Any) -> None:
    """Data for programs."""
    say(json.dumps(data, indent=2, ensure_ascii=False))


def complain(error: RascalError) -> None:
    """Show one error; of a sentence also where in it."""
    say(f"{click.style('error:', fg='red', bold=True)} {_worded(error)}", err=True)
    if isinstance(error, LanguageError) and error.text and not error.path:
        say(error.picture(), err=True)


def leave(status: int) -> NoReturn:
    """End with that status."""
    click.get_current_context().exit(status)
    raise AssertionError("exit returns never")


@contextmanager
def cannot() -> Iterator[None]:
    """What Rascal raises in here ends the command with status 2 and its message."""
    try:
        yield
    except RascalError as error:
        complain(error)
        leave(CANNOT)


def _worded(error: RascalError) -> str:
    return error.message if isinstance(error, ConfigError) else str(error)

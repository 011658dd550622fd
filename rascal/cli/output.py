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
from itertools import zip_longest
from typing import Any, NoReturn

import click

from rascal.errors import ConfigError, RascalError
from rascal.language.errors import LanguageError

NOT_WELL = 1
CANNOT = 2
GAP = "  "
COLUMN = 32


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
    """Columns as wide as they must be, within bounds; longer cells are wrapped."""
    if not rows:
        return
    last = len(titles) - 1
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(last)]
    widths = [size if not at else min(size, COLUMN) for at, size in enumerate(widths)]
    widths.append(max(30, min(width(), 120) - sum(widths) - len(GAP) * last))
    if any(titles):
        _row([click.style(title, bold=True) for title in titles], titles, widths)
    for row in rows:
        _row(row, row, widths)


def _row(shown: Sequence[str], plain: Sequence[str], widths: Sequence[int]) -> None:
    """One row. `shown` may be styled, then `plain` says how long it looks, and it is one line."""
    if list(shown) != list(plain):
        cells = [
            text + " " * (size - len(p)) for text, p, size in zip(shown, plain, widths, strict=True)
        ]
        say(GAP.join(cells).rstrip())
        return
    wrapped = [textwrap.wrap(text, size) or [""] for text, size in zip(plain, widths, strict=True)]
    for line in zip_longest(*wrapped, fillvalue=""):
        say(GAP.join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip())


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

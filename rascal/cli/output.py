"""How the command talks: tables, paragraphs, errors. Colours only on a terminal (NO_COLOR).

Errors go to standard error, one line each, as the language words them: where, what is wrong,
what is allowed, the nearest name.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, NoReturn

import click

from rascal.errors import ConfigError, RascalError
from rascal.language.errors import LanguageError
from rascal.report.words import many as many
from rascal.report.words import number as number
from rascal.report.words import span as span

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


def again(command: str) -> str:
    """A command that is told to people, for the same run store as that of this one."""
    context = click.get_current_context(silent=True)
    store = context.params.get("store") if context else None
    return f"{command} --store {shlex.quote(str(store))}" if store else command


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


Paint = Callable[[str], str]


def grid(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    give: str = "",
    paint: Mapping[str, Paint] | None = None,
    empty: str = "",
) -> None:
    """A table of what is: numbers to the right, and one column that gives way on a terminal."""
    if not rows:
        say(empty, err=True)
        return
    for line in grid_lines(titles, rows, right=right, give=give, paint=paint, limit=limit()):
        say(line)


def grid_lines(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    give: str = "",
    paint: Mapping[str, Paint] | None = None,
    limit: int | None = None,
) -> list[str]:
    """The lines of such a table; without a limit each row is one."""
    widths = [max(len(row[at]) for row in [titles, *rows]) for at in range(len(titles))]
    at = titles.index(give) if give else -1
    beyond = sum(widths) + len(GAP) * (len(widths) - 1) - (limit or 0)
    if limit and give and beyond > 0:
        widths[at] = max(min(30, widths[at]), widths[at] - beyond)
    lines = []
    for row in [titles, *rows]:
        parts = textwrap.wrap(row[at], widths[at]) or [""] if give else [""]
        for at_line, part in enumerate(parts):
            texts = ["" if at_line else text for text in row]
            if give:
                texts[at] = part
            cells = [
                text.rjust(size) if title in right else text.ljust(size)
                for text, size, title in zip(texts, widths, titles, strict=True)
            ]
            plain = GAP.join(cells).rstrip()
            if row is titles:
                lines.append(click.style(plain, bold=True))
            elif paint:
                lines.append(GAP.join(_painted(cells, row, titles, paint)).rstrip())
            else:
                lines.append(plain)
    return lines


def _painted(
    cells: Sequence[str], row: Sequence[str], titles: Sequence[str], paint: Mapping[str, Paint]
) -> list[str]:
    found = []
    for cell, text, title in zip(cells, row, titles, strict=True):
        painted = paint[title](text) if title in paint and text and text in cell else text
        found.append(cell.replace(text, painted) if painted != text else cell)
    return found


def limit() -> int | None:
    """Columns of the terminal; none where nobody looks, so that each row is one line."""
    if os.environ.get("COLUMNS") or sys.stdout.isatty():
        return width()
    return None


def tick(good: bool) -> str:
    """A mark that says well or not, in what the terminal can show."""
    marks = ("✓", "✗") if "utf" in (sys.stdout.encoding or "").lower() else ("ok", "no")
    return marks[0] if good else marks[1]


def picture(text: str, column: int, title: str = "") -> str:
    """The line of a text that is meant, with carets below; the title may quote what is meant."""
    at = min(column, len(text) + 1) - 1
    begin = text.rfind("\n", 0, at) + 1
    line = text[begin:].partition("\n")[0]
    here = text[at:]
    quoted = [one for one in re.findall(r"'([^']+)'", title) if here.startswith(one)]
    word = re.match(r"[\w.-]+", here)
    size = max(map(len, quoted), default=0) or (len(word[0]) if word else 1)
    carets = "^" * max(1, min(size, len(line) - (at - begin)))
    return f"  {line}\n  {' ' * (at - begin)}{carets}"


def as_json(data: Any) -> None:
    """Data for programs."""
    say(json.dumps(data, indent=2, ensure_ascii=False))


def as_line(data: Any) -> None:
    """One line of JSON, at once, for programs that read along."""
    say(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    sys.stdout.flush()


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

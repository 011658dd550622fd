"""Lines that stay where they are on a terminal: the cursor goes up, each line is written anew."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from rascal.cli.output import colour

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
CLEAR_LINE, CLEAR_BELOW = "\x1b[K", "\x1b[J"


class InPlace:
    """A block of lines at the cursor, redrawn in place. It fits the terminal, whatever it gets."""

    def __init__(self) -> None:
        self._height = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hide the cursor meanwhile."""
        sys.stdout.write(HIDE)
        try:
            yield
        finally:
            sys.stdout.write(SHOW)
            sys.stdout.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Write these in the place of those before."""
        columns, rows = shutil.get_terminal_size()
        if len(lines) > rows - 1:
            left = len(lines) - (rows - 2)
            lines = [*lines[: rows - 2], f"… and {left} lines"]
        text = f"\x1b[{self._height}F" if self._height else ""
        for line in lines:
            plain = click.unstyle(line)
            line = plain[: columns - 1] if len(plain) >= columns or colour() is False else line
            text += f"{line}{CLEAR_LINE}\n"
        self._height = len(lines)
        sys.stdout.write(text + CLEAR_BELOW)
        sys.stdout.flush()

"""How the demo looks on a terminal: plain lines, colours only where somebody can see them."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TextIO

from rascal.demo.report import Report

STYLES = {"bold": "1", "dim": "2", "green": "32", "red": "31", "cyan": "36", "yellow": "33"}
STYLE_OF = {"fault": "cyan", "saw": "yellow", "check": "green", "wrong": "red bold"}
PLAIN = str.maketrans({"─": "-", "×": "x", "…": "...", "·": "/"})
"""What stands in for characters that a terminal does not have."""
LABEL = 10
_WIDEST = 100


class Screen:
    """Writes reports to a stream."""

    def __init__(self, stream: TextIO | None = None, *, colour: bool | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.colour = _wants_colour(self.stream) if colour is None else colour
        self.width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)

    def line(self, text: str = "", style: str = "") -> None:
        """One line."""
        print(self.styled(self._written(text), style), file=self.stream, flush=True)

    def styled(self, text: str, style: str) -> str:
        """The text in a style, where there are any."""
        if not (self.colour and style and text):
            return text
        codes = ";".join(STYLES[name] for name in style.split())
        return f"\033[{codes}m{text}\033[0m"

    def _written(self, text: str) -> str:
        """The text in characters that the stream has."""
        encoding = self.stream.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
        return text

    def item(self, label: str, text: str, style: str = "") -> None:
        """A labelled paragraph."""
        room = max(30, self.width - LABEL - 2)
        lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        for n, one in enumerate(lines):
            head = self.styled(f"  {label:<{LABEL}}" if not n else " " * (LABEL + 2), "dim")
            self.line(head + self.styled(one, style))

    def title(self, text: str) -> None:
        """A heading with a rule to the edge."""
        self.line()
        self.line(f"{text} ".ljust(self.width, "─"), "bold")

    def report(self, number: int, report: Report) -> None:
        """One step, as it went."""
        self.title(f"{number}  {report.title}")
        self.item("", report.what)
        for kind, label, text in report.entries:
            self.item(label, text, STYLE_OF.get(kind, ""))
        self.item("took", f"{report.seconds:.2f}s", "dim")


def _wants_colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()

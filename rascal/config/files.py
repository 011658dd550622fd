"""The files of a configuration: proxies.ini and what it includes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping

from rascal.config.ini import Entry, Section, read_ini
from rascal.errors import ConfigError


class Files:
    """Reads a file and those that it includes."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.files: list[str] = []
        self.sections: list[Section] = []
        self.findings: list[ConfigError] = []
        self._real: dict[str, str] = {}

    def read(self, path: str, chain: tuple[str, ...], entry: Entry | None = None) -> None:
        """Read `path`, included by the files of `chain`, the last one by `entry`."""
        real = os.path.realpath(path)
        problem = ""
        text = ""
        if real in chain:
            problem = f"'{path}' includes itself"
        elif real in self._real:
            problem = f"'{path}' is included already"
        else:
            try:
                with open(path, encoding="utf-8", newline="") as file:
                    text = file.read()
            except OSError as error:
                problem = f"'{path}' cannot be read: {error.strerror or error}"
            except (UnicodeDecodeError, ValueError):
                problem = f"'{path}' cannot be read: it is not UTF-8 text"
        if problem:
            plain = ConfigError(problem, code="file", value=path)
            self.findings.append(entry.error(problem, code="file") if entry else plain)
            return
        self._real[real] = path
        self.files.append(path)
        sections, findings = read_ini(text, path, self.environ)
        self.findings += findings
        self.sections += sections
        for section in sections:
            include = section.entries.get("include")
            if section.name == "rascal" and include:
                for pattern, at in items(include):
                    self._include(include, pattern, at, (*chain, real))

    def _include(self, entry: Entry, pattern: str, at: int, chain: tuple[str, ...]) -> None:
        path = os.path.join(os.path.dirname(entry.path), pattern)
        before = len(self.findings)
        for name in sorted(glob.glob(path)) if glob.has_magic(path) else [path]:
            self.read(name, chain, entry)
        line, column = entry.place(at)
        for finding in self.findings[before:]:
            if finding.code == "file" and finding.path == entry.path:
                finding.line, finding.column = line, column


def items(entry: Entry) -> Iterable[tuple[str, int]]:
    """The items of a list of bare texts (commas, blanks or line ends) and their offsets."""
    at = 0
    for piece in entry.text.replace("\n", ",").replace(" ", ",").split(","):
        if piece:
            yield piece, at
        at += len(piece) + 1

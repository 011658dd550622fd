"""Vaurien's files as a proxies.ini of the same meaning.

    found = import_vaurien(["vaurien.ini"], os.environ)      raises ConfigErrors
    found.text                                              the proxies.ini: it loads
    found.notes                                             what is different, and better

What Vaurien does is known from its documentation (vaurien.readthedocs.io: behaviors, protocols,
examples) and the sources of 1.9. Where the two differ the documentation is meant:

    behavior = 20:delay,10:error    one draw, at most one strikes     roulette = 20% …, 10% …
    dummy       nothing                      its share passes
    delay       sleep=1, before=True         delay(1s), at request or at reply
    hang        swallows and waits           hang
    blackout    closes the client's socket   reset: closing with a request unread sends RST
    error       HTTP 50x and closes; else    error, as a real server of the protocol words it
                random bytes (inject: within the reply)
    transient   error for the first calls    error count N
    abort       ends before the reply        lose_reply(then=close)

Vaurien draws for whatever it reads from either side; here one draw decides for an exchange, on
tcp for a connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from rascal.config.load import load
from rascal.config.vaurien_file import read
from rascal.config.vaurien_proxy import Note, Reading
from rascal.errors import ConfigError, ConfigErrors


@attrs.frozen
class Imported:
    """A proxies.ini, and what is different in it."""

    text: str
    notes: tuple[Note, ...]


def import_vaurien(paths: Iterable[str], environ: Mapping[str, str]) -> Imported:
    """One proxies.ini for all the files. Raises ConfigErrors: all that is wrong in them."""
    from rascal.wire import protocols

    paths = list(paths)
    findings: list[ConfigError] = []
    notes: list[Note] = []
    parts = [f"# Imported from {', '.join(Path(path).name for path in paths)} (Vaurien)."]
    names: set[str] = set()
    for path in paths:
        before = len(findings)
        sections = read(path, environ, findings)
        if len(findings) > before and not sections.options:
            continue
        one = Reading(path, sections, environ, protocols(), findings, notes)
        parts.append(one.section(names))
    if findings:
        raise ConfigErrors(findings)
    text = "\n\n".join(parts) + "\n"
    _check(text, paths, environ)
    return Imported(text, tuple(notes))


def _check(text: str, paths: list[str], environ: Mapping[str, str]) -> None:
    """It loads; what would be wrong is wrong in the files (two listen at one place)."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "proxies.ini"
        path.write_text(text, encoding="utf-8")
        try:
            load(str(path), environ)
        except ConfigErrors as errors:
            for error in errors.findings:
                error.path = ", ".join(paths)
                error.line = error.column = None
            raise


__all__ = ["Imported", "Note", "import_vaurien"]

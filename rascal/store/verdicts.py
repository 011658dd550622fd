"""What an experiment's verdict was, without reading all that it kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rascal.store.rows import loads

if TYPE_CHECKING:
    from rascal.store.reading import Reader

KEY = "verdict"


def verdict_of(reader: Reader, run: str) -> dict[str, Any]:
    """Word, sentence and status; {} of a run that has none."""
    found = reader.database.select(
        "SELECT value FROM data WHERE run = ? AND key = ?", reader.number(run), KEY
    )
    return dict(loads(found[0][0])) if found else {}

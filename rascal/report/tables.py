"""Tables of a report: titles, cells with a tone, numbers to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import attrs

Tone = Literal["", "good", "bad", "warn", "quiet"]


@attrs.frozen
class Cell:
    """What stands in one cell."""

    text: str
    tone: Tone = ""
    more: str = ""
    """Below it, small."""


Cells = Sequence[Cell | str]
"""A row."""


@attrs.frozen(kw_only=True)
class Table:
    """Rows below titles. In a column named in `words` cells are text, in all others numbers."""

    titles: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: Sequence[str] = ()
    note: str = ""
    caption: str = ""
    total: bool = False
    """The last row sums up the others."""


def table(
    titles: Sequence[str],
    rows: Iterable[Cells],
    *,
    words: Sequence[str] = (),
    note: str = "",
    caption: str = "",
    total: bool = False,
) -> Table:
    """A table of cells and plain texts; the first column is text."""
    return Table(
        titles=titles,
        rows=[[one if isinstance(one, Cell) else Cell(one) for one in row] for row in rows],
        words=(*titles[:1], *words),
        note=note,
        caption=caption,
        total=total,
    )

"""What little of SQL must be understood: the first keyword, the database, a table's name.

Comments, blanks, parentheses and empty statements before the keyword are skipped. The inside of
`/*! … */`, `/*!50110 … */` and MariaDB's `/*M!100100 … */` is SQL, whatever the version. A hint,
`/*+ … */`, is a comment.
"""

from __future__ import annotations

import re

from rascal.wire.types import Buffer

_SKIP = re.compile(
    rb"(?:[\s(;]+"
    rb"|--(?=[\s\x00-\x1f]|\Z)[^\n]*\n?"
    rb"|\#[^\n]*\n?"
    rb"|/\*M?!\d*"
    rb"|\*/"  # the end of a /*! … */ with nothing in it
    rb"|/\*(?!M?!)(?:[^*]|\*(?!/))*+\*/)*+"
)
_WORD = re.compile(rb"[A-Za-z_]+")
_USE = re.compile(rb"USE\s+(?:`((?:[^`]|``)+)`|([^\s;`]+))", re.IGNORECASE)
_TABLE = re.compile(
    r"\b(?:FROM|INTO|UPDATE|TABLE|JOIN|REPLACE)\s+(?:(?:IGNORE|LOW_PRIORITY|IF\s+(?:NOT\s+)?EXISTS)\s+)*"
    r"((?:`[^`]+`|[\w$]+)(?:\s*\.\s*(?:`[^`]+`|[\w$]+))?)",
    re.IGNORECASE,
)
_EFFECT = re.compile(_SKIP.pattern + rb"(?:USE|BEGIN|START|COMMIT|ROLLBACK)\b", re.IGNORECASE)


def keyword(sql: bytes) -> str:
    """The first keyword in capitals; empty where there is none."""
    skipped = _SKIP.match(sql)
    found = _WORD.match(sql, skipped.end() if skipped else 0)
    return found[0].decode("ascii").upper() if found else ""


def changes_session(sql: Buffer, at: int, end: int) -> bool:
    """Whether the statement at `at` may change the database or the transaction: quick, no copy."""
    return _EFFECT.match(sql, at, end) is not None


def used_database(sql: bytes) -> bytes | None:
    """The database that a USE names."""
    skipped = _SKIP.match(sql)
    found = _USE.match(sql, skipped.end() if skipped else 0)
    if found is None:
        return None
    quoted: bytes | None = found[1]
    return quoted.replace(b"``", b"`") if quoted is not None else found[2]


def first_table(sql: str) -> tuple[str, str]:
    """The database and name of the first table that is named, for the texts of errors."""
    found = _TABLE.search(sql[:4096])
    if found is None:
        return "", ""
    database, dot, table = found[1].partition(".")
    names = [name.strip().strip("`") for name in (database, table)]
    return (names[0], names[1]) if dot else ("", names[0])

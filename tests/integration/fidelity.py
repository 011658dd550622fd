"""The tables in docs/fidelity: what the proxy says, held against what a real server says.

    table = Fidelity("redis", "redis-server 7.0")
    table.hold("oom", "SET with maxmemory 1", real, injected, {"code": …})
    table.write()

A row is {"protocol", "server", "error", "provoked", "real", "injected", "equal", "differs"}:
`equal` names the fields that agree, `differs` says of every other one why that is right. A field
that differs without a reason fails the test.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

FOLDER = pathlib.Path(__file__).parents[2] / "docs" / "fidelity"
Fields = Callable[[bytes], Mapping[str, Any]]


def shown(data: bytes) -> str:
    """Bytes as people read them, with \\r\\n written out."""
    return data.decode("latin-1").encode("unicode_escape").decode("ascii")


class Fidelity:
    """The table of one protocol."""

    def __init__(self, protocol: str, server: str, fields: Fields) -> None:
        self.protocol = protocol
        self.server = server
        self.fields = fields
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}

    def hold(
        self,
        error: str,
        provoked: str,
        real: bytes,
        injected: bytes,
        *,
        differs: Mapping[str, str] | None = None,
        also: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None:
        """Compare two replies field by field and keep the row.

        Args:
            error: its name in the catalogue.
            provoked: how the real server was brought to say it.
            differs: fields that may differ, and why.
            also: further fields as pairs (real, injected), such as whether the server closes.
        """
        reasons = dict(differs or {})
        pairs = dict(also or {})
        ours, theirs = self.fields(injected), self.fields(real)
        for name in (*theirs, *(name for name in ours if name not in theirs)):
            pairs[name] = (theirs.get(name), ours.get(name))
        wrong = {
            name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in reasons
        }
        assert not wrong, f"{error} ({provoked}): {wrong}"
        unequal = [name for name, pair in pairs.items() if pair[0] != pair[1]]
        self.rows[error, provoked] = {
            "protocol": self.protocol,
            "server": self.server,
            "error": error,
            "provoked": provoked,
            "real": shown(real),
            "injected": shown(injected),
            "equal": sorted(name for name in pairs if name not in unequal),
            "differs": [f"{name}: {reasons[name]}" for name in sorted(unequal)],
        }

    def write(self) -> None:
        """Put the rows into the protocol's file, unless only the server's version is new there.

        Rows of tests that did not run stay.
        """
        path = FOLDER / f"{self.protocol}.json"
        before = json.loads(path.read_text("utf-8")) if path.exists() else []
        kept = {(row["error"], row["provoked"]): row for row in before}
        for key, row in self.rows.items():
            if kept.get(key, {}) | {"server": ""} != row | {"server": ""}:
                kept[key] = row
        after = [kept[key] for key in sorted(kept)]
        if after != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", "utf-8")

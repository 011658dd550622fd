"""Collects the rows of `seen`: printed at the end of the run, kept in docs/seen/PROTOCOL.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from harness import FOLDER, keep
from mysql_place import mysql_node  # noqa: F401
from redis_place import clean_place, redis_node  # noqa: F401

KEY = ("client", "name", "sentence")
Row = dict[str, Any]


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keeps a row of the table: seen(name, sentence, sight, usable).

    The module names its table: SEEN = ("redis", "redis-py").
    """
    protocol, client = request.module.SEEN

    def add(name: str, sentence: str, saw: Any, after: str) -> None:
        keep(request.node.user_properties, protocol, client, name, sentence, saw, after)

    return add


def _reports(terminal: Any, outcome: str) -> list[Any]:
    return [one for one in terminal.stats.get(outcome, []) if hasattr(one, "user_properties")]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the tables and keep them."""
    tables: dict[str, list[Row]] = {}
    for report in _reports(terminalreporter, "passed"):
        if report.when == "call":
            for name, value in report.user_properties:
                if name == "seen":
                    row = json.loads(value)
                    row["module"] = report.nodeid.partition("::")[0].rpartition("/")[2]
                    tables.setdefault(row["protocol"], []).append(row)
    outcomes = ("failed", "error", "skipped")
    part = any(_reports(terminalreporter, outcome) for outcome in outcomes)
    asked = config.option
    whole = not (part or asked.keyword or getattr(asked, "lf", False))
    whole = whole and not any("::" in argument for argument in config.args)
    for protocol, rows in tables.items():
        terminalreporter.section(f"what clients of {protocol} saw", "-")
        for line in _lines(rows):
            terminalreporter.write_line(line)
        _keep(protocol, rows, whole)


def _lines(rows: list[Row]) -> list[str]:
    heads = ("client", "kind or error", "sentence", "what it saw", "took", "usable")
    cells = [
        (
            row["client"],
            row["name"],
            row["sentence"],
            row["saw"],
            f"{row['seconds']:.2f}s",
            row["usable"],
        )
        for row in rows
    ]
    limits = (12, 26, 72, 80, 7, 6)
    widths = [
        min(limit, max(len(line[n]) for line in (heads, *cells))) for n, limit in enumerate(limits)
    ]
    return [
        "  ".join(_fit(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (heads, *cells)
    ]


def _fit(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"


def _keep(protocol: str, rows: list[Row], whole: bool) -> None:
    """Merge the rows into the file; those of a module that ran whole replace all it had."""
    path = FOLDER / f"{protocol}.json"
    before: list[Row] = json.loads(path.read_text("utf-8")) if path.exists() else []
    modules = {row["module"] for row in rows} if whole else set()
    kept = {tuple(row[k] for k in KEY): row for row in before if row["module"] not in modules}
    for row in rows:
        row = {name: value for name, value in row.items() if name not in ("seconds", "protocol")}
        kept[tuple(row[k] for k in KEY)] = row
    after = [kept[key] for key in sorted(kept)]
    if after != before:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", "utf-8")

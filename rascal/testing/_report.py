"""What the proxies saw, in words: for messages and for the report of a failing test."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rascal.control.client import ExchangeData, FaultData
from rascal.errors import RascalError

if TYPE_CHECKING:
    from rascal.testing._node import Node
    from rascal.testing._proxy import Proxy

LAST = 10
"""Exchanges, and faults, that are shown of each proxy."""

SLACK = 0.002
"""Seconds by which the clocks of two processes may differ, or be rounded."""

TELLING = ("sql", "method", "path", "key", "status", "name", "type", "channel")
"""Match fields that say what an exchange was about; others stand where it has none of them."""

FIELDS = 3
WIDTH = 72


def counted(data: FaultData) -> str:
    """`matched 3, fired 1, skipped 2 count`."""
    parts = [f"matched {data['matched']}", f"fired {data['fired']}"]
    parts += [f"skipped {count} {reason}" for reason, count in data["skipped"].items() if count]
    if data["waiting"]:
        parts.append(f"waiting {data['waiting']}")
    return ", ".join(parts)


def exchange_lines(exchanges: Iterable[ExchangeData]) -> list[str]:
    """One line each, oldest first, and what struck it."""
    rows = []
    for one in reversed(list(exchanges)):
        struck = f"  <- {', '.join(one['faults'])}" if one["faults"] else ""
        text = _fields(one["fields"])
        rows.append((str(one["number"]), one["command"], _time(one), one["outcome"], text, struck))
    sizes = [max((len(row[at]) for row in rows), default=0) for at in range(4)]
    return [
        f"{row[0]:>{sizes[0]}}  {row[1]:<{sizes[1]}}  {row[2]:>{sizes[2]}}  {row[3]:<{sizes[3]}}"
        f"  {row[4]}{row[5]}".rstrip()
        for row in rows
    ]


def seen(proxy: Proxy, since: float = 0.0, last: int = LAST) -> list[str]:
    """The last exchanges of a proxy that ended after `since`; why they cannot be told, if so."""
    try:
        found = proxy.exchanges(limit=last)
    except RascalError as error:
        return [f"its exchanges cannot be told: {error}"]
    fresh = [one for one in found if one["at"] + one["seconds"] >= since - SLACK]
    return exchange_lines(fresh) or ["no exchange has ended"]


def report(nodes: Iterable[Node], since: float) -> str:
    """What happened since then on all proxies of this process."""
    parts = []
    for node in nodes:
        if not node.proxies:
            continue
        lines = []
        for proxy in node.proxies.values():
            lines.append(f"{proxy}:")
            mine = [one for one in node.journal if one.proxy == proxy.name and one.until >= since]
            if len(mine) > LAST:
                lines.append(f"  … {len(mine) - LAST} faults more, earlier")
            lines += [f"  {one.data['text']}: {counted(one.newest())}" for one in mine[-LAST:]]
            lines += textwrap.indent("\n".join(seen(proxy, since)), "  ").splitlines()
        try:
            lines.append(f"seed {node.seed}")
        except RascalError as error:
            lines.append(f"the proxies cannot be reached: {error}")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _time(one: ExchangeData) -> str:
    seconds = one["seconds"]
    return f"{seconds:.2f}s" if seconds >= 0.995 else f"{seconds * 1000:.1f}ms"


def _fields(fields: Mapping[str, Any]) -> str:
    """The fields that say most, short."""
    told = {name: fields[name] for name in TELLING if fields.get(name) not in (None, False)}
    told = told or {name: one for name, one in fields.items() if one not in (None, False)}
    text = " ".join(f"{name}={_value(value)}" for name, value in list(told.items())[:FIELDS])
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "yes" if value is True else " ".join(str(value).split())

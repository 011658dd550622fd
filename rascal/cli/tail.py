"""`rascal tail`: exchanges as they happen.

While it runs the proxies decode every exchange; otherwise they keep a sample.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from rascal.cli.calling import calling
from rascal.cli.completing import proxy_names
from rascal.cli.output import GAP, as_line, number, say, span, width
from rascal.control.client import Client

PATIENCE = 60.0
"""Seconds for which a service that went away is called again."""


@click.command()
@click.argument("proxies", nargs=-1, shell_complete=proxy_names)
@click.option(
    "--proxy", multiple=True, metavar="NAME", help="Of this proxy.", shell_complete=proxy_names
)
@click.option("--fault", multiple=True, metavar="NAME", help="Struck by this fault.")
@click.option("--struck", is_flag=True, help="Struck by any fault.")
@click.option("--command", multiple=True, metavar="WORD", help="With this command.")
@click.option(
    "--outcome", multiple=True, metavar="WORD", help="That ended so: ok, answered, lost …"
)
@click.option("--last", type=click.IntRange(0), default=0, metavar="N", help="Begin N earlier.")
@click.option("--times", type=click.IntRange(1), metavar="N", help="End after N exchanges.")
@calling
def tail(
    client: Client,
    proxies: tuple[str, ...],
    proxy: tuple[str, ...],
    fault: tuple[str, ...],
    struck: bool,
    command: tuple[str, ...],
    outcome: tuple[str, ...],
    last: int,
    times: int | None,
    json_: bool,
) -> None:
    """Show the exchanges of PROXIES (of all) as they happen, until it is interrupted.

    A line is: when, proxy and connection, the command, how long, the outcome, the faults that
    struck, and what the protocol says of it. With --json each exchange is a line.
    """
    names = (*proxies, *proxy)
    wanted = {
        "command": {word.upper() for word in command},
        "outcome": set(outcome),
        "fault": set(fault),
    }
    shown = 0
    for where, one in _all(client, names, last):
        if one is None:
            say(f"… {where}", err=True)
            continue
        if not _fits(one, wanted, struck):
            continue
        if json_:
            as_line({"proxy": where, **one})
        else:
            say(line_of(where, one))
            sys.stdout.flush()
        shown += 1
        if shown == times:
            return


def _all(
    client: Client, names: Sequence[str], last: int
) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """(proxy, exchange); (what is missing, None) where some could not be had."""
    seen: dict[str, int] = {}
    if last:
        for name in names or tuple(client.proxies()):
            for one in reversed(client.exchanges(name, limit=last)):
                seen[name] = one["number"]
                yield name, one
    for event in client.events(("exchanges",), proxies=names, patience=PATIENCE):
        if event.kind == "gap":
            seen.clear()
            yield "some were missed", None
        elif event.kind == "exchanges":
            name = event.data["proxy"]
            for one in event.data["exchanges"]:
                if one["number"] > seen.get(name, 0):
                    yield name, one
            if event.data["more"]:
                yield f"{number(event.data['more'])} more of {name}, too many to tell", None


def _fits(one: Mapping[str, Any], wanted: Mapping[str, set[str]], struck: bool) -> bool:
    faults = {*one["faults"], *(name.partition(".")[0] for name in one["faults"])}
    return (
        (not wanted["command"] or str(one["command"]).upper() in wanted["command"])
        and (not wanted["outcome"] or one["outcome"] in wanted["outcome"])
        and (not wanted["fault"] or bool(wanted["fault"] & faults))
        and (not struck or bool(faults))
    )


def line_of(proxy: str, one: Mapping[str, Any]) -> str:
    """`12:03:05.123  db#7  UPDATE  1.2ms  answered  by error  database=shop`."""
    clock = time.strftime("%H:%M:%S", time.localtime(one["at"]))
    clock += f".{int(one['at'] * 1000) % 1000:03d}"
    faults = f"by {', '.join(one['faults'])}" if one["faults"] else ""
    texts = (
        f"{name}={_short(value)}" for name, value in one["fields"].items() if value is not False
    )
    head = f"{clock}  {proxy}#{one['connection']:<4} {one['command']:<10}"
    head += f" {span(one['seconds']):>7}  "
    plain = GAP.join(part for part in (one["outcome"], faults, " ".join(texts)) if part)
    limit = width() - 1 if sys.stdout.isatty() or os.environ.get("COLUMNS") else None
    plain = (head + plain).replace("\n", " ")[:limit]
    if not faults:
        return plain
    struck = GAP.join((one["outcome"], faults))
    return plain.replace(struck, click.style(struck, fg="yellow"), 1)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "yes" if value is True else str(value)

"""`rascal enable`, `disable`, `restart`, `remove`: one fault or several, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from rascal.cli.calling import COLLECTIONS, addresses, calling, owner
from rascal.cli.clauses import line_of, words_of
from rascal.cli.completing import fault_names
from rascal.cli.output import as_json, number, say
from rascal.control.client import Client, Collection, FaultData
from rascal.errors import ConfigError

Found = list[tuple[str, Collection, FaultData]]


def naming(function: Callable[..., Any]) -> Callable[..., Any]:
    """PROXY/NAME …, PROXY NAME …, or PROXY --all."""
    function = click.option("--all", "all_", is_flag=True, help="All of the named proxies.")(
        function
    )
    return click.argument("names", nargs=-1, required=True, shell_complete=fault_names)(function)


def _found(client: Client, names: tuple[str, ...], all_: bool) -> Found:
    """What was named; nothing is done before all of it is there."""
    if all_:
        if any("/" in name for name in names):
            raise ConfigError("with --all only proxies are named")
        return [
            (proxy, collection, one)
            for proxy in names
            for collection in COLLECTIONS
            for one in client.faults(proxy, collection).values()
            if not one.get("recipe")
        ]
    return [(proxy, *owner(client, proxy, name)) for proxy, name in addresses(names)]


def _done(
    found: Found, call: Callable[[str, str, Collection], FaultData]
) -> list[tuple[str, FaultData]]:
    return [(proxy, call(proxy, one["name"], collection)) for proxy, collection, one in found]


def _show(done: list[tuple[str, FaultData]], json_: bool) -> None:
    if json_:
        as_json({f"{proxy}/{one['name']}": one for proxy, one in done})
        return
    for proxy, one in done:
        say(line_of(proxy, one))
    if not done:
        say("there was nothing", err=True)


@click.command()
@naming
@calling
def enable(client: Client, names: tuple[str, ...], all_: bool, json_: bool) -> None:
    """Arm NAMES: PROXY/NAME …, or PROXY NAME …. Used counts start anew, match numbers go on."""
    found = _found(client, names, all_)
    _show(_done(found, lambda p, n, c: client.enable(p, n, collection=c)), json_)


@click.command()
@naming
@calling
def disable(client: Client, names: tuple[str, ...], all_: bool, json_: bool) -> None:
    """Disarm NAMES: PROXY/NAME …, or PROXY NAME …. What they hold is let go at once."""
    found = _found(client, names, all_)
    _show(_done(found, lambda p, n, c: client.disable(p, n, collection=c)), json_)


@click.command()
@naming
@calling
def restart(client: Client, names: tuple[str, ...], all_: bool, json_: bool) -> None:
    """Start NAMES from the beginning, armed: match numbers, used counts, steps of scripts."""
    found = _found(client, names, all_)
    _show(_done(found, lambda p, n, c: client.restart(p, n, collection=c)), json_)


@click.command()
@naming
@calling
def remove(client: Client, names: tuple[str, ...], all_: bool, json_: bool) -> None:
    """Take NAMES away: PROXY/NAME …, or PROXY NAME …, and show what they did.

    What they hold is let go at once; a connection on which bytes were lost is closed.
    """
    found = _found(client, names, all_)
    done = _done(found, lambda p, n, c: client.remove(p, n, collection=c))
    if json_:
        as_json({f"{proxy}/{one['name']}": one for proxy, one in done})
        return
    for proxy, one in done:
        say(f"{proxy}/{one['name']}  {words_of(one)}  removed: {books(one)}")
    if not done:
        say("there was nothing", err=True)


def books(one: FaultData) -> str:
    """`matched 5, fired 2, skipped 3 probability`."""
    skipped = skips(one)
    text = f"matched {number(one['matched'])}, fired {number(one['fired'])}"
    return text + (f", skipped {skipped}" if skipped else "")


def skips(one: Any) -> str:
    """`953 probability, 2 count`."""
    return ", ".join(f"{number(count)} {reason}" for reason, count in one["skipped"].items())

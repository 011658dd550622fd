"""`rascal connections PROXY` and `rascal kill PROXY NUMBER…`."""

from __future__ import annotations

import click

from rascal.cli.calling import calling
from rascal.cli.completing import connection_numbers, proxy_names
from rascal.cli.output import as_json, grid, many, say, span
from rascal.control.client import Client, ConnectionData
from rascal.errors import ConfigError


@click.command()
@click.argument("proxies", nargs=-1, shell_complete=proxy_names)
@calling
def connections(client: Client, proxies: tuple[str, ...], json_: bool) -> None:
    """List the connections of PROXIES (of all) that live.

    HELD BY are the faults that hold something of it at this moment; FAULTS all that have a hand in
    it.
    """
    known = {} if proxies else client.proxies()
    idle = {name for name, one in known.items() if not one["connections"]["open"]}
    found: dict[str, dict[str, ConnectionData]] = {
        proxy: {} if proxy in idle else client.connections(proxy) for proxy in proxies or known
    }
    if json_:
        as_json(found)
        return
    grid(
        ("CONNECTION", "CLIENT", "AGE", "IDLE", "STATE", "HELD BY", "FAULTS"),
        [_row(proxy, one) for proxy, ones in found.items() for one in ones.values()],
        right=("AGE", "IDLE"),
        empty="nobody is connected",
    )


def _row(proxy: str, one: ConnectionData) -> tuple[str, ...]:
    return (
        f"{proxy}/{one['number']}",
        one["client"],
        span(one["seconds"]),
        span(one["idle"]),
        one["state"],
        ", ".join(one["held_by"]),
        ", ".join(one["faults"]),
    )


@click.command()
@click.argument("proxy", shell_complete=proxy_names)
@click.argument("numbers", nargs=-1, shell_complete=connection_numbers)
@click.option("--all", "all_", is_flag=True, help="All of them.")
@click.option("--close", "close", is_flag=True, help="By FIN instead of RST.")
@calling
def kill(
    client: Client, proxy: str, numbers: tuple[str, ...], all_: bool, close: bool, json_: bool
) -> None:
    """End connections of PROXY, by RST. NUMBERS are those that `rascal connections` shows."""
    if "/" in proxy and not all_:  # db/7, as the list shows it
        proxy, _, first = proxy.partition("/")
        numbers = (first, *numbers)
    if bool(numbers) == all_:
        raise ConfigError(f"say which: numbers (rascal connections {proxy}), or --all")
    ended = {}
    for number in tuple(client.connections(proxy)) if all_ else numbers:
        number = number.removeprefix(f"{proxy}/")
        ended[number] = client.end_connection(proxy, number, "close" if close else "reset")
    if json_:
        as_json(ended)
    else:
        say(f"{proxy}  {many(len(ended), 'connection')} {'closed' if close else 'reset'}")

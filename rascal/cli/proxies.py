"""`rascal proxies`: what stands between whom."""

from __future__ import annotations

import click

from rascal.cli.calling import calling
from rascal.cli.output import as_json, grid, number
from rascal.control.client import Client, ProxyData


@click.command()
@calling
def proxies(client: Client, json_: bool) -> None:
    """List the proxies: where they listen, what is behind, how much is there."""
    found = client.proxies()
    if json_:
        as_json(found)
        return
    grid(
        ("PROXY", "PROTOCOL", "LISTENS", "UPSTREAM", "OPEN", "EXCHANGES", "FAULTS"),
        [_row(name, one) for name, one in found.items()],
        right=("OPEN", "EXCHANGES"),
        paint={"LISTENS": lambda text: click.style(text, fg="red") if text == "no" else text},
        empty="there is no proxy; add one: rascal proxy add NAME PROTOCOL LISTEN UPSTREAM",
    )


def _row(name: str, one: ProxyData) -> tuple[str, ...]:
    return (
        name,
        one["protocol"],
        listening(one),
        one["upstream"],
        number(one["connections"]["open"]),
        number(one["exchanges"]),
        faults_text(one),
    )


def listening(one: ProxyData) -> str:
    """Where it listens, or that it does not."""
    return ", ".join(one["addresses"]) if one["enabled"] and one["addresses"] else "no"


def faults_text(one: ProxyData) -> str:
    """`3 (1 armed)`."""
    count = one["faults"]
    return f"{count['installed']} ({count['armed']} armed)" if count["installed"] else "0"

"""`rascal faults [PROXY…]`: what can strike, and what it has counted."""

from __future__ import annotations

import click

from rascal.cli.calling import COLLECTIONS, calling
from rascal.cli.clauses import words_of
from rascal.cli.completing import proxy_names
from rascal.cli.output import as_json, grid, number
from rascal.cli.switching import skips
from rascal.control.client import Client, FaultData

TITLES = ("FAULT", "ARMED", "IN WORDS", "MATCHED", "FIRED", "WAITING", "SKIPPED")


@click.command()
@click.argument("proxies", nargs=-1, shell_complete=proxy_names)
@calling
def faults(client: Client, proxies: tuple[str, ...], json_: bool) -> None:
    """List what is installed on PROXIES (on all), in the order in which it is asked.

    MATCHED is what a fault was asked about; it is FIRED plus what was SKIPPED, by reason, and what
    is about to strike. WAITING is what it holds at this moment.
    """
    known = {} if proxies else client.proxies()
    names = proxies or tuple(known)
    empty = {name for name, one in known.items() if not one["faults"]["installed"]}
    found: dict[str, dict[str, dict[str, FaultData]]] = {
        proxy: {
            collection: {} if proxy in empty else client.faults(proxy, collection)
            for collection in COLLECTIONS
        }
        for proxy in names
    }
    if json_:
        as_json(found)
        return
    rows = [
        fault_row(proxy, one)
        for proxy, collections in found.items()
        for collection in ("faults", "scripts")
        for one in collections[collection].values()
    ]
    waiting = any(row[5] for row in rows)
    rows = [row if waiting else (*row[:5], row[6]) for row in rows]
    titles = TITLES if waiting else (*TITLES[:5], TITLES[6])
    where = f" on {', '.join(names)}" if proxies else ""
    grid(
        titles,
        rows,
        right=("MATCHED", "FIRED", "WAITING"),
        give="IN WORDS",
        paint=PAINT,
        empty=f"there is no fault{where}; add one: rascal add PROXY delay 2s",
    )


PAINT = {
    "ARMED": lambda text: click.style(text, fg="green") if text == "yes" else text,
    "WAITING": lambda text: click.style(text, fg="yellow"),
}


def fault_row(proxy: str, one: FaultData) -> tuple[str, ...]:
    """The cells of one fault."""
    return (
        f"{proxy}/{one['name']}",
        "yes" if one.get("armed") else "no",
        words_of(one),
        number(one["matched"]),
        number(one["fired"]),
        number(one["waiting"]) if one["waiting"] else "",
        skips(one),
    )

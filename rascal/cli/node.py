"""Commands for the service as a whole: status, export, reload, seed, counters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from rascal.cli.calling import calling
from rascal.cli.lever import pulled
from rascal.cli.output import NOT_WELL, as_json, grid, leave, many, number, say
from rascal.control.client import Client
from rascal.errors import ConfigError


@click.command()
@calling
def status(client: Client, json_: bool) -> None:
    """Show how the service is. Status 1 if a proxy that should listen does not."""
    ready = client.healthy()
    proxies, lever, seed_ = client.proxies(), client.panic(), client.seed()
    silent = [name for name, one in proxies.items() if one["enabled"] and not one["addresses"]]
    if json_:
        data = {"url": client.url, "ready": ready, "silent": silent, "seed": seed_}
        as_json({**data, "panic": lever, "proxies": proxies})
    else:
        armed = sum(one["faults"]["armed"] for one in proxies.values())
        installed = sum(one["faults"]["installed"] for one in proxies.values())
        open_ = sum(one["connections"]["open"] for one in proxies.values())
        say(f"{client.url}  {'ready' if ready else 'NOT READY'}")
        say(f"proxies      {many(len(proxies), 'proxy')}, {many(open_, 'open connection')}")
        say(f"faults       {many(installed, 'fault')}, {number(armed)} armed")
        say(f"panic lever  {pulled(lever) if lever['on'] else 'not pulled'}")
        say(f"seed         {seed_}")
        if silent:
            say(f"not listening: {', '.join(silent)}", err=True)
    if not ready:
        leave(NOT_WELL)


@click.command()
@click.option("--output", "-o", type=click.Path(), metavar="FILE", help="Write to FILE.")
@calling
def export(client: Client, output: str | None, json_: bool) -> None:
    """Write the state as it is now: a proxies.ini that makes the same again.

    --json shows the same as the structure that the API has.
    """
    if json_:
        as_json(client.state())
        return
    text = client.export()
    if output is None or output == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"'{output}' cannot be written: {reason}") from error
    say(f"{output}: written")


@click.command()
@calling
def reload(client: Client, json_: bool) -> None:
    """Let the service read its proxies.ini again.

    What is wrong in it changes nothing. Connections that need not change stay.
    """
    found = client.reload()
    if json_:
        as_json(found)
    else:
        say(f"reload: {found['summary']}")


@click.command()
@click.argument("number", required=False)
@click.option("--draw", is_flag=True, help="Let the service draw one.")
@calling
def seed(client: Client, number: str | None, draw: bool, json_: bool) -> None:
    """Show the seed of all draws, or set it to NUMBER.

    A new seed starts all draws, match numbers and scripts anew: the same seed and the same order of
    requests give the same faults.
    """
    if number is not None and (draw or not number.isdecimal()):
        raise ConfigError(f"a seed is a whole number, or --draw; found '{number}'")
    if draw or number is not None:
        found = client.set_seed(None if number is None else int(number))
    else:
        found = client.seed()
    if json_:
        as_json({"seed": found})
    else:
        say(str(found))


@click.command()
@click.option("--reset", is_flag=True, help="Set all to zero, and show what they were.")
@calling
def counters(client: Client, reset: bool, json_: bool) -> None:
    """Show what the proxies have counted.

    A reset leaves match numbers and used counts as they are: nothing is drawn differently after it.
    """
    found: dict[str, Any] = dict(client.reset_counters() if reset else client.counters())
    if json_:
        as_json(found)
        return
    grid(
        ("PROXY", "CONNECTIONS", "OPEN", "EXCHANGES", "MATCHED", "FIRED", "NOT THE PROTOCOL"),
        [
            (
                name,
                number_of(one, "connections"),
                number_of(one, "open"),
                number_of(one, "exchanges"),
                number(sum(fault["matched"] for fault in one["faults"].values())),
                number(sum(fault["fired"] for fault in one["faults"].values())),
                number_of(one, "desyncs"),
            )
            for name, one in found.items()
        ],
        right=("CONNECTIONS", "OPEN", "EXCHANGES", "MATCHED", "FIRED", "NOT THE PROTOCOL"),
        empty="there is no proxy",
    )
    if reset and sys.stdout.isatty():
        say("all set to zero", err=True)


def number_of(one: dict[str, Any], name: str) -> str:
    """A counter, or nothing where the service has none of that name."""
    return number(one[name]) if name in one else ""

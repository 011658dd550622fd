"""`rascal panic` and `rascal release`: the lever that stops everything."""

from __future__ import annotations

import getpass
import socket
from datetime import datetime

import click

from rascal.cli.calling import calling
from rascal.cli.output import as_json, many, say
from rascal.control.client import Client, PanicData


def _me() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return ""


@click.command()
@click.option("--by", metavar="WHO", help="Who pulls it, for the others to read (you).")
@calling
def panic(client: Client, by: str | None, json_: bool) -> None:
    """Stop everything: every fault is removed, and none can be added until `rascal release`.

    What was held is let go. Proxies and their connections stay.
    """
    before = sum(one["faults"]["installed"] for one in client.proxies().values())
    found = client.panic(True, by=by or _me())
    if json_:
        as_json(found)
        return
    say(
        f"everything is stopped: {many(before, 'fault')} removed; "
        "none can be added until: rascal release"
    )


@click.command()
@calling
def release(client: Client, json_: bool) -> None:
    """Release the panic lever: faults can be added again. Those that were removed stay away."""
    before = client.panic()
    found = client.panic(False, by=_me())
    if json_:
        as_json(found)
    elif before["on"]:
        say(f"released: faults can be added again (the lever was {pulled(before)})")
    else:
        say("the lever was not pulled")


def pulled(lever: PanicData) -> str:
    """`pulled by ada at 12:30:05`."""
    since = lever["since"]
    when = "" if since is None else f" at {datetime.fromtimestamp(since):%H:%M:%S}"
    return f"pulled by {lever['by'] or 'somebody'}{when}"

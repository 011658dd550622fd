"""`rascal load change`: other load for a run that goes on, through the store."""

from __future__ import annotations

import time

import click

from rascal.cli.load.attach import running
from rascal.cli.load.going import refusing
from rascal.cli.load.stop import PATIENCE
from rascal.cli.output import NOT_WELL, as_json, leave, say
from rascal.cli.runs.common import run_names
from rascal.errors import ConfigError


@click.command()
@click.argument("run", shell_complete=run_names)
@click.argument("profiles", nargs=-1, required=True)
@click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def change(run: str, profiles: tuple[str, ...], store: str | None, json_: bool) -> None:
    """Give RUN (its number or name, or "last") other PROFILES, from the second after next.

    \b
    rascal load change 17 'hold 400/s for 5m'
    rascal load change last 'browse=ramp 200..0/s for 30s' 'buy=hold 5/s for 30s'

    A profile begins when it is put in place. A run that counts arrivals cannot be made one that
    counts users.
    """
    from rascal.load.planning import with_profiles
    from rascal.load.plans_json import plan_from_json
    from rascal.store import Store

    with refusing(), Store(store) as opened:
        found = running(opened, run)
        wanted = profiles_of(profiles)
        shares = with_profiles(plan_from_json(dict(found.plan)).shares, wanted)
        opened.ask(found.id, "change", profiles=wanted)
        deadline = time.monotonic() + PATIENCE
        while not opened.taken(found.id):
            if opened.run(found.id).state != "running" or time.monotonic() > deadline:
                say(f"run {found.id} has not seen it", err=True)
                leave(NOT_WELL)
            time.sleep(0.1)
        if json_:
            as_json({"run": found.id, "profiles": wanted})
        else:
            from rascal.language import show

            text = "; ".join(show(one.profile) for one in shares if one.profile)
            say(f"run {found.id}  changed: {text}")


def profiles_of(words: tuple[str, ...]) -> dict[str, str]:
    """NAME=PROFILE words by name; a profile alone has the name "". Raises ConfigError."""
    found: dict[str, str] = {}
    for word in words:
        name, there, text = word.partition("=")
        name, text = (name.strip(), text.strip()) if there else ("", word)
        if name in found:
            whose = f"'{name}' has" if name else "the run has"
            raise ConfigError(f"{whose} two profiles: write NAME=PROFILE for each scenario")
        found[name] = text
    return found

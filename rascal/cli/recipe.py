"""`rascal recipe NAME … on PROXY`: imitate an incident."""

from __future__ import annotations

import re
from dataclasses import replace

import click

from rascal.cli.calling import calling, said
from rascal.cli.completing import recipe_words
from rascal.cli.output import as_json, many, say, span
from rascal.control.client import Client, FaultData
from rascal.errors import ConfigError


@click.command()
@click.argument("words", nargs=-1, required=True, shell_complete=recipe_words)
@click.option("--on", metavar="PROXY", help="The proxy, if no word says it.")
@click.option("--lease", metavar="LEASE", help="Lift it unless this lease is renewed.")
@calling
def recipe(
    client: Client, words: tuple[str, ...], on: str | None, lease: str | None, json_: bool
) -> None:
    """Apply a recipe: its name, its options, `on` and the proxy, and perhaps `for`.

    \b
    rascal recipe overloaded-database on db for 60s
    rascal recipe database-failover outage=3s on db

    rascal recipes lists them; rascal remove PROXY/NAME lifts one before its time.
    """
    from rascal.language import from_argv, parse, show

    text = from_argv(words)
    text = text if re.match(r"\s*recipe\b(?!-)", text) else f"recipe {text}"
    phrase = parse("fault", text)
    proxy = phrase.clause("on") or on
    if proxy is None:
        names = ", ".join(client.proxies())
        raise ConfigError(f"say where: 'on' and the name of a proxy; proxies: {names}")
    rest = replace(phrase, clauses=tuple(one for one in phrase.clauses if one[0] != "on"))
    spoken = re.sub(rf"\s+on\s+{re.escape(str(proxy))}(?=\s|$)", "", text, count=1)
    if parse("fault", spoken) != rest:
        spoken = show(rest)
    made = client.add_recipe(str(proxy), said(spoken), lease=lease)
    if json_:
        as_json(made)
    else:
        say(recipe_line(str(proxy), made))


def recipe_line(proxy: str, one: FaultData) -> str:
    """`db/overloaded-database  3 faults armed, lifts itself in 1m`."""
    parts = one.get("parts", {}).values()
    armed = sum(part["armed"] for part in parts)
    of_all = "" if armed == len(parts) else f"{armed} of "
    text = f"{proxy}/{one['name']}  {of_all}{many(len(parts), 'fault')} armed"
    left = [part.get("expires_in") for part in parts]
    known = [seconds for seconds in left if seconds is not None]
    if left and len(known) == len(left):
        text += f", lifts itself in {span(max(known))}"
    return text

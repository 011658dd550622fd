"""`rascal add PROXY FAULT…` and `rascal change PROXY/NAME …`."""

from __future__ import annotations

import re
from typing import Any

import click

from rascal.cli.calling import address, calling, owner, said
from rascal.cli.clauses import clause_flags, clauses_of, line_of, sentence, terms_of
from rascal.cli.completing import one_fault, proxy_names, sentences
from rascal.cli.output import as_json, say
from rascal.control.client import Client, FaultData
from rascal.errors import ConfigError


@click.command()
@click.argument("proxy", shell_complete=proxy_names)
@click.argument("fault", nargs=-1, required=True, shell_complete=sentences)
@clause_flags()
@calling
def add(client: Client, proxy: str, fault: tuple[str, ...], json_: bool, **given: Any) -> None:
    """Install FAULT, a sentence, on PROXY.

    \b
    rascal add db error deadlock match statement=UPDATE count 2
    rascal add db 'delay(normal(80ms, 20ms))' --match statement=SELECT --for 20s
    rascal add cache 'roulette = 10% delay 1s, 5% error oom'

    Flags are the same clauses. Without parentheses, > < and * nothing needs quotes. The list of
    kinds: rascal kinds.
    """
    text = sentence(fault, given)
    terms = terms_of(given)
    roulette = re.match(r"\s*roulette\s*=?\s+(.*)", " ".join(fault), re.DOTALL)
    if roulette:
        clauses: dict[str, Any] = clauses_of(given)
        if "enabled" in clauses:
            clauses["enabled"] = False
        what: Any = {"roulette": said(roulette[1], "/roulette"), **clauses}
        made = client.add(proxy, what, **terms)
    else:
        made = client.add(proxy, said(text), **terms)
    _show(proxy, made, json_)


@click.command()
@click.argument("fault", nargs=-1, required=True, shell_complete=one_fault)
@click.option("--without", multiple=True, metavar="CLAUSE", help="Take a clause away.")
@clause_flags("name")
@calling
def change(
    client: Client, fault: tuple[str, ...], without: tuple[str, ...], json_: bool, **given: Any
) -> None:
    """Change a fault: PROXY/NAME or PROXY NAME, then what is to be different.

    \b
    rascal change db/slow delay 3s for 20s        another sentence in its place
    rascal change db/slow delay=3s                only this option of its kind
    rascal change db/slow --count 3               only this clause
    rascal change db/slow --without match

    Its name and its counters stay. It concerns the next match, never a strike under way.
    """
    proxy, name, words = address(fault)
    collection, found = owner(client, proxy, name)
    terms = terms_of(given)
    options = all(re.match(r"[A-Za-z_]\w*=", word) for word in words)
    changes: Any
    if words and not options:
        if without:
            raise ConfigError("a sentence says all: leave --without out")
        text = sentence(words, given)
        script = found["form"] == "script"
        changes = {"steps" if script else "text": said(text, "", "/text", "/steps")} | terms
    else:
        clauses: dict[str, Any] = clauses_of(given)
        if "enabled" in clauses:
            clauses["enabled"] = False
        changes = clauses | dict.fromkeys(without, None) | terms
        for clause, value in clauses.items():
            said(str(value), f"/{clause}")
        if words:
            changes["options"] = dict(word.split("=", 1) for word in words)
            for option, value in changes["options"].items():
                said(value, f"/options/{option}")
    if not changes:
        raise ConfigError("say what is to be different: a sentence, OPTION=VALUE, or --count …")
    _show(proxy, client.change(proxy, name, changes, collection=collection), json_)


def _show(proxy: str, made: FaultData, json_: bool) -> None:
    if json_:
        as_json(made)
    elif made["form"] == "recipe":
        from rascal.cli.recipe import recipe_line

        say(recipe_line(proxy, made))
    else:
        say(line_of(proxy, made))

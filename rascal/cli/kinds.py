"""`rascal kinds [KIND]`: what can go wrong, drawn from the option tables."""

from __future__ import annotations

from typing import Any

import click

from rascal.cli.completing import kinds as names
from rascal.cli.completing import local_protocols
from rascal.cli.output import as_json, cannot, heading, paragraph, say, table


@click.command()
@click.argument("kind", required=False, shell_complete=names)
@click.option(
    "--protocol",
    "-p",
    metavar="NAME",
    shell_complete=local_protocols,
    help="As they are on this protocol.",
)
@click.option("--json", "json_", is_flag=True, help="For programs: the same as JSON.")
def kinds(kind: str | None, protocol: str | None, json_: bool) -> None:
    """List the kinds of faults, or explain KIND: options, moments, and how faithful it is."""
    from rascal.config import installed
    from rascal.config.describe import all_kinds, kind_facts, named

    registry = installed()
    with cannot():
        spoken = protocol and named("protocol", protocol, registry.protocols, "rascal protocols")
        found = all_kinds()
        if kind is not None:
            facts = kind_facts(named("kind", kind, found, "rascal kinds"), registry, spoken or None)
            if json_:
                as_json(facts)
            else:
                _explain(facts, spoken)
            return
    here = registry.kinds(spoken) if spoken else found
    listing = {name: kind_facts(found[name], registry, spoken or None) for name in here}
    if json_:
        as_json(listing)
        return
    table(
        ("KIND", "STRIKES", "WHAT IT DOES"),
        [(name, _strikes(one), one["summary"]) for name, one in listing.items()],
    )


def _explain(facts: dict[str, Any], protocol: Any) -> None:
    where = f" on {protocol.name}" if protocol else ""
    say(click.style(f"{facts['name']}{where}", bold=True))
    paragraph(facts["summary"])
    say()
    rows = [("strikes", _strikes(facts))]
    if facts["moments"]:
        several = "; several at once" if facts["composes"] else ""
        rows.append(("moments", ", ".join(facts["moments"]) + several))
    if facts["directional"]:
        rows.append(("direction", "to_upstream, to_client, both (default)"))
    if not protocol:
        rows.append(("protocols", ", ".join(facts["protocols"]) or "none"))
    rows.append(("faithful", facts["faithful"]))
    table(("", ""), rows)
    show_options(facts["options"], facts["spoken"])
    if protocol and facts["name"] == "error" and protocol.errors:
        heading("errors")
        paragraph(", ".join(protocol.errors))
        paragraph(f"(when a real server sends them: rascal protocols {protocol.name})")


def _strikes(facts: dict[str, Any]) -> str:
    from rascal.config.describe import STRIKES

    return ", ".join(STRIKES[level] for level in facts["strikes"])


def show_options(options: dict[str, Any], spoken: str | None = None) -> None:
    """The options of a table."""
    from rascal.config.describe import default_text, range_text, type_text

    heading("options")
    if not options:
        say("none")
        return
    table(
        ("NAME", "TYPE", "DEFAULT", "RANGE", "WHAT IT IS"),
        [
            (name, type_text(one), default_text(one) or "-", range_text(one) or "-", one["help"])
            for name, one in options.items()
        ],
    )
    if spoken:
        say()
        paragraph(f"The first may stand without its name: (VALUE) is ({spoken}=VALUE).")

"""`rascal protocols [PROTOCOL]`: what can be matched and answered on each, from its tables."""

from __future__ import annotations

from typing import Any

import click

from rascal.cli.completing import local_protocols
from rascal.cli.output import as_json, cannot, heading, paragraph, say, table


@click.command()
@click.argument("protocol", required=False, shell_complete=local_protocols)
@click.option("--json", "json_", is_flag=True, help="For programs: the same as JSON.")
def protocols(protocol: str | None, json_: bool) -> None:
    """List the protocols, or explain PROTOCOL: options, match fields, errors, kinds."""
    from rascal.config import installed
    from rascal.config.describe import named, protocol_facts

    registry = installed()
    if protocol is not None:
        with cannot():
            one = named("protocol", protocol, registry.protocols, "rascal protocols")
        facts = protocol_facts(one, registry)
        if json_:
            as_json(facts)
        else:
            _explain(facts)
        return
    listing = {name: protocol_facts(one, registry) for name, one in registry.protocols.items()}
    if json_:
        as_json(listing)
        return
    table(
        ("PROTOCOL", "TITLE", "ERRORS", "KINDS", "MATCH FIELDS"),
        [
            (
                name,
                one["title"],
                str(len(one["errors"])),
                str(len(one["kinds"])),
                ", ".join(one["fields"]),
            )
            for name, one in listing.items()
        ],
    )


def _explain(facts: dict[str, Any]) -> None:
    from rascal.cli.kinds import show_options

    say(click.style(f"{facts['name']}: {facts['title']}", bold=True))
    if not facts["messages"]:
        paragraph("Bytes without messages: faults strike the listener, connections and bytes.")
    if facts["server_speaks_first"]:
        paragraph("The server speaks first: faults may strike its greeting (at greeting).")
    show_options(facts["options"])
    heading("match fields")
    table(
        ("FIELD", "TYPE", "KNOWN WITH", "WHAT IT IS"),
        [
            (name, one["type"], one["known_with"], one["help"])
            for name, one in facts["fields"].items()
        ],
    )
    if facts["errors"]:
        heading("errors")
        table(
            ("ERROR", "CODE", "WHEN A REAL SERVER SENDS IT"),
            [(name, _code(name, one), _when(one)) for name, one in facts["errors"].items()],
        )
    heading("kinds")
    paragraph(", ".join(facts["kinds"]) or "none")


def _code(name: str, error: dict[str, Any]) -> str:
    return "" if error["code"] == name else error["code"]


def _when(error: dict[str, Any]) -> str:
    notes = [
        note
        for flag, note in (
            (error["rolls_back"], "undoes the transaction"),
            (error["closes"], "closes the connection"),
        )
        if flag
    ]
    return f"{error['help']} ({'; '.join(notes)})" if notes else str(error["help"])

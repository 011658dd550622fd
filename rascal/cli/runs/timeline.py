"""`rascal runs events` and `rascal runs samples`."""

from __future__ import annotations

import attrs
import click

from rascal.cli.output import as_json, grid, heading, say, span
from rascal.cli.runs.common import flow_names, reading, run_names
from rascal.load.types import OUTCOMES, Event, Sample
from rascal.store import Store


@click.command()
@click.argument("run", default="last", shell_complete=run_names)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these.")
@reading
def events(store: Store, run: str, kinds: tuple[str, ...], json_: bool) -> None:
    """List what happened in RUN (in the last one), with seconds since its start."""
    found = [one for one in store.events(run) if not kinds or one.kind in kinds]
    if json_:
        as_json([attrs.asdict(one) for one in found])
        return
    show_events(found, empty="nothing is on its timeline")


def show_events(found: list[Event], empty: str = "") -> None:
    """A table of events."""
    grid(
        ("AT", "KIND", "AGENT", "WHAT"),
        [(at(one.second), one.kind, one.agent, one.text) for one in found],
        right=("AT",),
        give="WHAT",
        empty=empty,
    )


def at(second: float) -> str:
    """A time of the run."""
    return f"-{span(-second)}" if second < 0 else span(second) if second else "0s"


@click.command()
@click.argument("run", default="last", shell_complete=run_names)
@click.option("--flow", "flows", multiple=True, metavar="FLOW", shell_complete=flow_names)
@click.option("--outcome", "outcomes", multiple=True, type=click.Choice(OUTCOMES[1:]))
@click.option("--last", type=click.IntRange(1), metavar="N", help="So many at most.")
@click.option("--full", is_flag=True, help="With the bytes of request and reply.")
@reading
def samples(
    store: Store,
    run: str,
    flows: tuple[str, ...],
    outcomes: tuple[str, ...],
    last: int | None,
    full: bool,
    json_: bool,
) -> None:
    """Show failing exchanges of RUN (of the last one) that were kept; not all are."""
    found = [
        one
        for one in store.samples(run)
        if (not flows or one.flow in flows) and (not outcomes or one.outcome in outcomes)
    ]
    found = found[-last:] if last else found
    if json_:
        as_json([attrs.asdict(one) for one in found])
    elif full:
        for one in found:
            _show_sample(one)
    else:
        grid(
            ("AT", "FLOW", "OUTCOME", "TOOK", "TRIES", "DETAIL", "REQUEST"),
            [
                (
                    at(one.second),
                    one.flow,
                    one.outcome,
                    span(one.took),
                    str(one.attempts),
                    one.detail,
                    f"{one.method} {one.url}".strip(),
                )
                for one in found
            ],
            right=("AT", "TOOK", "TRIES"),
            give="REQUEST",
            empty="no such exchange was kept",
        )


def _show_sample(one: Sample) -> None:
    heading(f"{one.flow}  {one.outcome}  at {at(one.second)}")
    say(f"{one.detail or one.outcome} after {span(one.took)}, {one.method} {one.url}".rstrip(", "))
    for title, text in (("request", one.request), ("reply", one.reply)):
        if text:
            say(click.style(f"{title}:", bold=True))
            say("\n".join(f"  {line}" for line in _harmless(text).splitlines()))


def _harmless(text: str) -> str:
    """What came from elsewhere does not steer the terminal."""
    return "".join(one if one.isprintable() or one in "\n\t" else "·" for one in text)

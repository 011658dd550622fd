"""`rascal script PROXY STEPS…`: exactly this for the next exchanges, and was it all used?"""

from __future__ import annotations

import time
from itertools import groupby

import click

from rascal.cli.calling import calling, said
from rascal.cli.clauses import line_of
from rascal.cli.completing import matches, proxy_names, steps
from rascal.cli.output import NOT_WELL, as_json, leave, say, span, tick
from rascal.control.client import Client, FaultData, StepData

EVERY = 0.1
"""Seconds between two looks."""

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Span(click.ParamType[float]):
    """A duration in the language's words, as seconds."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it with the language."""
        if isinstance(value, int | float):
            return float(value)
        from rascal.errors import RascalError
        from rascal.language import parse, plain

        try:
            return float(plain(parse("duration", value)))
        except RascalError as error:
            self.fail(getattr(error, "message", str(error)), param, ctx)


@click.command()
@click.argument("proxy", shell_complete=proxy_names)
@click.argument("steps", nargs=-1, required=True, shell_complete=steps)
@click.option("--match", metavar="CONDITIONS", help="Which exchanges.", shell_complete=matches)
@click.option("--name", metavar="NAME", help="What it is called.")
@click.option("--disabled", is_flag=True, help="Do not arm it yet.")
@click.option(
    "--wait", is_flag=True, help="Wait until every step was used, then remove the script."
)
@click.option(
    "--timeout",
    type=Span(),
    default=60.0,
    metavar="TIME",
    help="How long to wait (1m).",
)
@calling
def script(
    client: Client,
    proxy: str,
    steps: tuple[str, ...],
    match: str | None,
    name: str | None,
    disabled: bool,
    wait: bool,
    timeout: float,
    json_: bool,
) -> None:
    """Let STEPS happen to the next exchanges on PROXY, one after the other.

    \b
    rascal script db pass 2, error deadlock, pass --match statement=COMMIT --wait

    Exchanges that match are the script's alone; after its last step everything passes. With --wait
    the status is 1 if a step was not used, or came to nothing because its exchange died first.
    """
    from rascal.language import from_argv

    said(from_argv(steps), "/steps", "/text", "")
    if match is not None:
        said(match, "/match")
    made = client.add_script(
        proxy, from_argv(steps), match, name, enabled=False if disabled else None
    )
    if not wait:
        as_json(made) if json_ else say(line_of(proxy, made))
        return
    began = time.monotonic()
    try:
        _wait(client, proxy, made["name"], began + timeout)
    finally:
        done = client.remove(proxy, made["name"], collection="scripts")
    if json_:
        as_json(done)
    else:
        say(outcome(proxy, done, time.monotonic() - began))
    if not all(used(step) for step in done["steps"]):
        leave(NOT_WELL)


def _wait(client: Client, proxy: str, name: str, deadline: float) -> None:
    """Until every step has been taken and what was struck is over, or the time is up."""
    while time.monotonic() < deadline:
        found = client.get(proxy, name, "scripts")
        if found["reached"] == len(found["steps"]) and not found["reserved"]:
            return
        time.sleep(EVERY)


def used(step: StepData) -> bool:
    """Whether a step has done what it says."""
    return step["state"] == "used"


def outcome(proxy: str, one: FaultData, seconds: float) -> str:
    """`db/script  3 of 3 steps used in 3.2s: pass 2 ✓, error(deadlock) ✓`."""
    good = sum(used(step) for step in one["steps"])
    parts = []
    for (text, state), group in groupby(one["steps"], lambda step: (step["text"], step["state"])):
        count = sum(1 for _ in group)
        times = "" if count == 1 else f" {count}" if text == "pass" else f" count {count}"
        ok = used({"n": 0, "text": text, "state": state})
        parts.append(f"{text}{times} {tick(ok)}" + ("" if ok else f" {state}"))
    total = len(one["steps"])
    return (
        f"{proxy}/{one['name']}  {good} of {total} {'step' if total == 1 else 'steps'} used in "
        f"{span(seconds)}: {', '.join(parts)}"
    )

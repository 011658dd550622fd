"""`rascal experiment check FILE`: everything that is wrong with it, before anything runs."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rascal.cli.check import facts
from rascal.cli.experiment.orders import file_flags
from rascal.cli.experiment.run import experiment_files
from rascal.cli.output import CANNOT, NOT_WELL, as_json, leave, many, say
from rascal.control.client import Unreachable
from rascal.errors import ConfigError, ConfigErrors, RascalError
from rascal.report.words import clock_text

if TYPE_CHECKING:
    from rascal.cli.experiment.orders import Order

OFFLINE = "is rascal-proxy running there? --offline checks the file alone"


@click.command()
@click.argument("file", shell_complete=experiment_files)
@file_flags
@click.option("--offline", is_flag=True, help="Do not ask the nodes.")
@click.option("--json", "json_", is_flag=True, help="For programs: the findings as JSON.")
def check(file: str, offline: bool, json_: bool, **given: Any) -> None:
    """Read FILE and its scenarios, and show everything that is wrong.

    The nodes are asked whether they have the proxies, and whether these can do what is written:
    each fault is installed disarmed, and removed at once. No load is sent.

    Exit status: 0 all well, 1 something is wrong, 2 the file cannot be read.
    """
    from rascal.cli.load.going import choose_reactor, go, refusing

    with refusing():
        choose_reactor()  # before the scenario imports one
        order, findings = _read(file, given)
        cautions: tuple[str, ...] = ()
        if order is not None:
            ahead = order.outlook()
            findings += [ConfigError(text, path=file) for text in ahead.problems]
            cautions = (
                *ahead.cautions,
                *(one.advice for one in ahead.streams if one.advice and one.matters),
            )
            if not offline:
                findings += go(lambda reactor, interrupts: _asked(reactor, order))
    if json_:
        as_json({"file": file, "findings": [_facts(one) for one in findings], "cautions": cautions})
    else:
        _tell(file, findings, cautions, order, offline=offline)
    unreadable = any(
        isinstance(one, ConfigError) and one.message.startswith("cannot be read") and not one.line
        for one in findings
    )
    leave(0 if not findings else CANNOT if unreadable and order is None else NOT_WELL)


async def _asked(reactor: Any, order: Order) -> list[RascalError]:
    from rascal.experiment.fitting import misfits

    return await misfits(reactor, order.experiment, run=f"check-{secrets.token_hex(3)}")


def _read(file: str, given: dict[str, Any]) -> tuple[Order | None, list[RascalError]]:
    """The order, or everything that is wrong with the file and with its scenarios."""
    from rascal.cli.experiment.orders import read_file, with_load

    try:
        experiment = read_file(file, given)
    except ConfigErrors as errors:
        return None, [*errors.findings, *_scenarios(file)]
    try:
        return with_load(experiment, given), []
    except ConfigErrors as errors:
        return None, list(errors.findings)
    except ConfigError as error:
        return None, [error]


def _scenarios(file: str) -> list[ConfigError]:
    """What is wrong with the scenarios of a file that is wrong itself."""
    from rascal.load.book import load_book
    from rascal.load.yamltext import Block, read_yaml

    try:
        found = read_yaml(Path(file).read_text("utf-8"), file)
    except (RascalError, OSError, UnicodeDecodeError):
        return []
    load = found.get("load") if isinstance(found, Block) else None
    named = load.get("scenarios") if isinstance(load, Block) else None
    if not isinstance(named, str) or not named:
        return []
    assert isinstance(load, Block)
    options = load.get("options")
    try:
        load_book(
            str(Path(file).parent / named), options if isinstance(options, dict) else {}
        ).unload()
    except ConfigErrors as errors:
        return list(errors.findings)
    return []


def _tell(
    file: str,
    findings: list[RascalError],
    cautions: tuple[str, ...],
    order: Order | None,
    *,
    offline: bool,
) -> None:
    for one in findings:
        say(str(one), err=True)
        if isinstance(one.__cause__, Unreachable):
            say(OFFLINE, err=True)
    for text in cautions:
        say(click.style(f"! {text}", fg="yellow"), err=True)
    if findings:
        say(f"{file}: {many(len(findings), 'finding')}", err=True)
        return
    assert order is not None
    experiment = order.experiment
    parts = [
        f"{clock_text(order.timeline.ends)} in {len(order.timeline.phases)} phases",
        many(len(experiment.actions), "fault"),
        many(len(order.weights), "scenario"),
    ]
    if experiment.objectives:
        parts.append(many(len(experiment.objectives), "objective"))
    if experiment.invariants:
        parts.append(many(len(experiment.invariants), "invariant"))
    unasked = " (the nodes were not asked)" if offline else ""
    say(f"{file}: {', '.join(parts)}: all well{unasked}")


def _facts(finding: RascalError) -> dict[str, object]:
    if isinstance(finding, ConfigError):
        return facts(finding)
    return {"message": str(finding)}

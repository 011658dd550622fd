"""`rascal experiment run`: an experiment from its file to its verdict, once or several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from rascal.cli.experiment import STATUSES
from rascal.cli.experiment.orders import file_flags, flag_of
from rascal.cli.experiment.outputs import OutputCommand, leave_reports, output_flags, with_reports
from rascal.cli.output import as_json, leave, limit, say

if TYPE_CHECKING:
    from rascal.cli.experiment.orders import Order
    from rascal.experiment.repeating import Repeats

SUFFIXES = (".yml", ".yaml")


def experiment_files(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Left to the shell."""
    return [CompletionItem(incomplete, type="file")]


class RunCommand(click.Command):
    """Says what its exit status means."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit status"):
            formatter.write_dl(list(STATUSES))


class FileCommand(OutputCommand, RunCommand):
    """Both of these."""


@click.command(cls=FileCommand)
@click.argument("file", shell_complete=experiment_files)
@file_flags
@click.option("--no-probe", is_flag=True, help="If it is stuck, do not find out how.")
@click.option("--lenient", is_flag=True, help="If unsure, let the named verdict alone decide.")
@click.option("--repeat", metavar="N", help="Run it up to N times, with different seeds.")
@click.option(
    "--at-least",
    metavar="SHARE",
    help="With --repeat: so many runs must be as expected or better, surely (70%).",
)
@click.option("--agents", metavar="N", help="Send load from N processes (with --redis: agents).")
@click.option("--redis", metavar="URL", help="Where agents wait: redis://:password@host:6379/0")
@click.option("--namespace", metavar="NAME", help="Before the names of all keys there (rascal).")
@click.option("--token-file", metavar="FILE", help="Holds the token that agents share.")
@click.option("--label", multiple=True, metavar="LABEL", help="For lists. Repeatable.")
@click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
@click.option("--no-store", is_flag=True, help="Do not keep the run.")
@click.option("--why", is_flag=True, help="Show everything that each rule found.")
@output_flags
@click.option("--quiet", is_flag=True, help="Nothing until the end.")
@click.option("--started-fd", type=int, hidden=True)
def run(file: str, started_fd: int | None, **given: Any) -> None:
    """Run the experiment of FILE to its verdict.

    \b
    rascal experiment run checkout.yml
    rascal experiment run checkout.yml --target http://127.0.0.1:9090 --seed 7
    rascal experiment run checkout.yml --repeat 20 --at-least 80%

    Load is offered as long as the phases last; at the planned moments the proxies get their
    faults, and whatever happens, these are removed again: by this command, or, if it dies, by
    themselves a quarter of a minute later. Ctrl-C ends it, twice at once.
    """
    from rascal.cli.experiment.conducting import Conducting
    from rascal.cli.experiment.orders import read_order
    from rascal.cli.load.going import choose_reactor, refusing
    from rascal.cli.load.offering import opened_store
    from rascal.cli.load.reaching import count_of, own_token

    with refusing(flag_of):
        given = with_reports(given)
        repeats = _repeats(given)
        count_of(given)
        own_token(given["token_file"])
        choose_reactor()  # before the scenario imports one
        order = read_order(file, given)
        _warn(order, quiet=given["quiet"] or given["json_"])
        store = None if given["no_store"] else opened_store(given["store"])
        conducting = Conducting(order, given, store, started_fd)
        try:
            if repeats is None:
                status = _one(conducting, given)
            else:
                repeats.expect = order.experiment.expect
                repeats.seed = order.experiment.seed
                status = _several(conducting, repeats, given)
        finally:
            if store is not None:
                store.close()
    leave(status)


def _repeats(given: dict[str, Any]) -> Repeats | None:
    """What --repeat asks for. Raises ConfigError."""
    from rascal.cli.experiment.orders import share, whole
    from rascal.errors import ConfigError
    from rascal.experiment.repeating import AT_LEAST, LONGEST, Repeats, needed

    if given["repeat"] is None:
        if given["at_least"] is not None:
            raise ConfigError("--at-least is for --repeat N: a share of several runs")
        return None
    wanted = whole(given["repeat"], "--repeat", least=1, most=LONGEST)
    at_least = AT_LEAST if given["at_least"] is None else share(given["at_least"], "--at-least")
    fewest = needed(at_least)
    if wanted < fewest:
        say(
            f"! {wanted} of {wanted} right would not prove that {at_least:.0%} are: --repeat "
            f"{fewest} can, or a smaller --at-least",
            err=True,
        )
    return Repeats(wanted=wanted, at_least=at_least)


def _warn(order: Order, *, quiet: bool) -> None:
    """What is unwise, before it runs; what can only be invalid is refused."""
    from rascal.errors import ConfigError, ConfigErrors

    ahead = order.outlook()
    expect = order.experiment.expect
    if ahead.problems and not (expect is not None and str(expect) == "exactly invalid"):
        path = order.experiment.path or None
        raise ConfigErrors([ConfigError(text, path=path) for text in ahead.problems])
    if quiet:
        return
    texts = [*ahead.cautions, *(one.advice for one in ahead.streams if one.advice and one.matters)]
    for text in texts:
        say(click.style(f"! {text}", fg="yellow"), err=True)


def _one(conducting: Any, given: dict[str, Any]) -> int:
    from rascal.cli.experiment.ending import lines_of

    outcome = conducting.once()
    if given["json_"]:
        as_json(outcome.json())
    else:
        for line in lines_of(outcome, limit(), why=given["why"]):
            say(line)
    return leave_reports(given["reports"], conducting.store, outcome.run, outcome.status)


def _several(conducting: Any, repeats: Repeats, given: dict[str, Any]) -> int:
    from rascal.cli.experiment.ending import lines_of, repeat_lines

    found, outcomes = conducting.several(repeats)
    early = outcomes[-1] if outcomes and not found.over else None
    status: int = early.status if early is not None else found.status
    if given["json_"]:
        as_json({**found.json(), "status": status, "outcomes": [one.json() for one in outcomes]})
        return status
    if early is not None:
        for line in lines_of(early, limit()):
            say(line)
        say()
    for line in repeat_lines(found, limit()):
        say(line)
    return status

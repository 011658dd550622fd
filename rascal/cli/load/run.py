"""`rascal load run`: offer the load of a scenario file, or of a load file, and report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from click.shell_completion import CompletionItem

from rascal.cli.load import STATUSES
from rascal.cli.load.flags import (
    SECTIONS,
    SWITCHES,
    check_options,
    json_apart,
    load_flags,
    split,
    values_of,
    variable,
)
from rascal.cli.load.leaving import with_outputs
from rascal.cli.load.reaching import count_of, own_token
from rascal.cli.output import say
from rascal.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from rascal.load.book import Book
    from rascal.load.plan import Plan

YAML = (".yml", ".yaml")
LOAD = ("rate", "users", "for", "profile", "profiles", "replay")
HOW_MUCH = (
    "how much load? --rate 200/s --for 60s, or --users 50 --for 60s, or "
    "--profile 'ramp 0..200/s for 30s, hold 200/s for 5m'"
)


class RunCommand(click.Command):
    """Shows its flags in sections, and those of the scenario file that stands before --help."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        context.meta["rascal.load.args"] = list(args)
        return super().parse_args(context, json_apart(args))

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        known = {one.name: one for one in self.params}
        sections = {title: list(table) for title, table in SECTIONS.items()}
        for title, table in SWITCHES.items():
            sections.setdefault(title, []).extend(table)
        for title, flags in sections.items():
            records = [known[variable(flag)].get_help_record(context) for flag in flags]
            with formatter.section(title):
                formatter.write_dl([one for one in records if one])
        self._format_scenarios(context, formatter)
        with formatter.section("Exit status"):
            formatter.write_dl(list(STATUSES))

    def _format_scenarios(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """What the file on the same command line offers, if it can be read."""
        from rascal.errors import RascalError

        args = context.meta.get("rascal.load.args", ())
        file = next((one for one in args if one.endswith(".py") and os.path.isfile(one)), None)
        if file is None:
            return
        try:
            book = read_book(file, {})
        except RascalError:
            return
        if book.parameters:
            with formatter.section(f"Options of {file}"):
                formatter.write_dl([_parameter(name, one) for name, one in book.parameters.items()])
        if book.scenarios:
            with formatter.section(f"Scenarios of {file}"):
                formatter.write_dl(
                    [(name, f"weight {one.weight:g}") for name, one in book.scenarios.items()]
                )


def _parameter(name: str, one: Any) -> tuple[str, str]:
    option = one.option
    kind = "|".join(option.type) if isinstance(option.type, tuple) else option.type.upper()
    default = "" if option.required else f" ({one})" if str(one) else ""
    return f"--{name.replace('_', '-')} {kind}", f"{option.help.rstrip('.')}{default}."


def offered(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """First a file, then its scenarios."""
    words = [word for word in context.params.get("words") or () if not word.startswith("-")]
    if not words:
        return [CompletionItem(incomplete, type="file")]
    from rascal.errors import RascalError

    try:
        book = read_book(words[0], {})
    except RascalError:
        return []
    return [CompletionItem(name) for name in book.scenarios if name.startswith(incomplete)]


@click.command(cls=RunCommand, context_settings={"ignore_unknown_options": True})
@click.argument(
    "words", nargs=-1, metavar="FILE [SCENARIO]...", type=click.UNPROCESSED, shell_complete=offered
)
@click.option("--started-fd", type=int, hidden=True)
@load_flags
def run(words: tuple[str, ...], started_fd: int | None, **given: Any) -> None:
    """Offer the load of FILE, of all its scenarios or of those that are named, and report.

    \b
    rascal load run shop.py --target http://127.0.0.1:8080 --once
    rascal load run shop.py --target http://127.0.0.1:8080 --rate 200/s --for 60s
    rascal load run shop.py browse --target … --users 50 --for 5m --catalogue-size 20
    rascal load run shop.py --target … --profile 'ramp 0..200/s for 30s, hold 200/s for 5m' \\
        --objective 'p95(checkout) < 300ms' --stop 'failed > 50% for 10s' --agents 4
    rascal load run evening.yml

    FILE holds scenarios (rascal load init writes one to begin with), or is a load file in YAML
    that names one and says how much load; flags come before what stands there. With --rate, users
    arrive however slow the target is, and latencies count from when they should have been served.

    Load leaves this machine only towards hosts that are allowed (--allow). Ctrl-C ends the run,
    lets calls under way end, and reports; twice ends it at once.
    """
    from rascal.cli.load.going import choose_reactor, refusing

    with refusing(flag_of):
        given = with_outputs(given)
        order = read_order(words, given)
        if given["detach"]:
            from rascal.cli.load.detach import detach

            detach(order, given)
            return
        choose_reactor()  # before the scenario imports one
        order = with_book(order)
    if given["once"]:
        from rascal.cli.load.once import once

        once(order, json_=given["json_"])
    elif given["check_agents"]:
        from rascal.cli.load.checking import check_agents

        check_agents(order, given)
    else:
        from rascal.cli.load.offering import offer

        offer(order, given, started_fd)


def flag_of(name: str) -> str | None:
    """The flag of an option's name."""
    from rascal.cli.load.flags import OURS

    flag = f"--{ {'objectives': 'objective', 'profiles': 'profile'}.get(name, name) }"
    flag = flag.replace(" ", "").replace("_", "-").rstrip("s" if name.endswith("s") else "")
    for one in (f"--{name.replace('_', '-')}", flag):
        if one in OURS:
            return one
    return None


# ---- what was ordered


@attrs.frozen(kw_only=True)
class Order:
    """What the command line and the files say."""

    file: str
    """The scenario file."""
    values: Mapping[str, Any]
    """By the names of a load file."""
    load_file: str | None = None
    tags: tuple[str, ...] = ()
    token: str = ""
    once: bool = False
    book: Book | None = None
    plan: Plan | None = None
    about: Mapping[str, Any] = attrs.Factory(dict)
    """More for the store."""


def read_order(words: tuple[str, ...], given: Mapping[str, Any]) -> Order:
    """All that can be said before the scenario file is read. Raises ConfigError, ConfigErrors."""
    file, only, options = split(words)
    values = values_of(given)
    if only:
        values["only"] = only
    values["options"] = {**options, **values.get("options", {})}
    idle = given["once"] or given["check_agents"]
    if given["check_agents"] and given["once"]:
        raise ConfigError("--once and --check-agents are two things: give one of them")
    if given["detach"] and idle:
        raise ConfigError("--detach is for load: leave out --once and --check-agents")
    load_file = None
    if file.endswith(YAML):
        from rascal.load.planning import merged, read_load_file

        load_file = file
        written = read_load_file(file)
        values = merged(written, values)
        named = values.get("scenarios")
        if not isinstance(named, str) or not named:
            raise ConfigError("scenarios: which file? write scenarios: shop.py", path=file)
        file = str(Path(load_file).parent / named)
    if not os.path.isfile(file):
        what = "a folder" if os.path.isdir(file) else "there is no such file"
        hint = "" if file.endswith((".py", *YAML)) else "; scenarios come behind the file"
        raise ConfigError(f"{file}: {what}{hint}", value=file)
    if idle:
        values = {name: value for name, value in values.items() if name not in LOAD}
        values |= {"users": "1", "for": "1s"}
    elif load_file is None and not any(values.get(one) for one in LOAD if one != "for"):
        raise ConfigError(HOW_MUCH)
    if not values.get("target"):
        raise ConfigError("which target? --target URL, such as http://127.0.0.1:8080")
    count_of(given)
    token = own_token(given["token_file"])
    return Order(
        file=file,
        values=values,
        load_file=load_file,
        tags=given["tag"],
        token=token,
        once=bool(idle),
    )


def read_book(file: str, options: Mapping[str, Any]) -> Book:
    """The scenarios of a file. Raises ConfigErrors with file and line."""
    from rascal.load.book import load_book

    return load_book(file, options)


def with_book(order: Order) -> Order:
    """The scenario file read, and the plan made. Raises ConfigError, ConfigErrors."""
    from rascal.load.planning import plan_of

    options = dict(order.values.get("options") or {})
    try:
        book = read_book(order.file, options)
    except ConfigErrors as errors:
        unknown = [one for one in errors.findings if one.code == "unknown-option"]
        if unknown and not order.load_file:
            check_options(options, unknown[0].allowed, order.file)
        raise
    values = dict(order.values)
    if order.tags:
        values["only"] = list(book.chosen(values.get("only", ()), order.tags))
    plan = plan_of(
        values,
        scenarios=tuple(book.scenarios),
        file=os.path.basename(order.file),
        path=order.load_file,
    )
    return attrs.evolve(order, book=book, plan=plan)


def title_of(plan: Plan) -> str:
    """`shop.py → http://127.0.0.1:8080`."""
    return f"{plan.name or plan.file} → {plan.target}"


def say_log(text: str) -> None:
    """A line beside the report."""
    say(text, err=True)

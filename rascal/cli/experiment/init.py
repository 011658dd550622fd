"""`rascal experiment init`: an experiment to begin with, asked for in a few questions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from rascal.cli.calling import INTERRUPTED
from rascal.cli.output import cannot, complain, leave, say
from rascal.errors import ConfigError, ConfigErrors, RascalError
from rascal.experiment.starter import DEFAULTS, FAULTS, Answers

QUICK = 1.0
"""Seconds to wait for a node while questions are asked."""


@click.command()
@click.argument("file", default="experiment.yml", type=click.Path(dir_okay=False))
@click.option("--target", metavar="URL", help="Where the application is.")
@click.option("--scenarios", metavar="FILE", help="What its users do.")
@click.option("--rate", metavar="RATE", help="How many of them arrive: 50/s.")
@click.option("--node", metavar="URL", help="Where the proxies are controlled; RASCAL_URL.")
@click.option("--proxy", metavar="NAME", help="The proxy before what is to fail.")
@click.option(
    "--fault", metavar="FAULT", help=f"What goes wrong: {', '.join(FAULTS)}, or a sentence."
)
@click.option("--expect", metavar="VERDICT", help="What you hope for.")
@click.option("--yes", is_flag=True, help="Ask nothing: defaults for what is not said.")
@click.option("--force", is_flag=True, help="Write it even if there is such a file.")
def init(file: str, yes: bool, force: bool, **given: Any) -> None:
    """Write an experiment to begin with: FILE (experiment.yml), with comments.

    Asks for the application, its scenarios, the proxy and what goes wrong; Enter takes what stands
    in brackets. What is given as a flag is not asked for.
    """
    path = Path(file)
    with cannot():
        if path.exists() and not force:
            raise ConfigError(
                f"{file} is there already: give another name, or --force to overwrite it"
            )
        try:
            answers = asked(given, silent=yes)
            folder = path.parent
            starter = _starter(folder / answers.scenarios, silent=yes)
        except click.Abort:
            say("", err=True)
            say("nothing was written", err=True)
            leave(INTERRUPTED)
        text = answers.text(file)
        problems(text, file)
        try:
            if starter:
                _write(folder / answers.scenarios, starter)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from error
    if starter:
        say(f"{folder / answers.scenarios}  written: two scenarios, to be made yours")
    say(f"{file}  written. Next:")
    say(f"  rascal experiment check {file}")
    say(f"  rascal experiment run {file}")


def asked(given: dict[str, Any], *, silent: bool) -> Answers:
    """The answers; each is asked again until it can be read. Raises click.Abort."""
    from rascal.control.client._access import usual_url

    found: dict[str, str] = {}
    defaults = {**DEFAULTS, "node": usual_url().rstrip("/")}

    def ask(name: str, question: str, wrong: Callable[[str], str] = lambda text: "") -> None:
        value = given[name]
        if value is not None or silent:
            found[name] = value if value is not None else defaults[name]
            problem = wrong(found[name])
            if problem:
                raise ConfigError(f"--{name}: {problem}", value=found[name])
            return
        while True:
            found[name] = click.prompt(question, default=defaults[name], err=True).strip()
            problem = wrong(found[name])
            if not problem:
                return
            say(problem, err=True)

    ask("target", "Where is the application?", _target)
    ask("scenarios", "In which file stands what its users do?")
    ask("rate", "How many arrive?", _rate)
    ask("node", "Where are the proxies controlled?", _url)
    known = _proxies(found["node"], quiet=silent or given["proxy"] is not None)
    defaults["proxy"] = next(iter(known), defaults["proxy"])
    ask("proxy", "Which proxy stands before what is to fail?")
    if not silent and given["fault"] is None:
        for word, (sentence, does) in FAULTS.items():
            say(f"  {word.ljust(6)} {does} ({sentence})", err=True)
    ask(
        "fault",
        "What goes wrong? One of these, or a sentence such as 'error on db'",
        lambda text: _fault(text, found["proxy"]),
    )
    ask("expect", "What do you hope for?", _expect)
    return Answers(**found)


def problems(text: str, file: str) -> None:
    """Raise what is wrong with the text."""
    from rascal.experiment.reading import experiment_of

    experiment_of(text, file)


def _target(text: str) -> str:
    from rascal.load.targets import target_problems

    return next(iter(target_problems(text)), "")


def _url(text: str) -> str:
    good = text.startswith(("http://", "https://"))
    return "" if good else f"'{text}' is no URL, such as {DEFAULTS['target']}"


def _rate(text: str) -> str:
    from rascal.language import LanguageError, parse

    try:
        parse("profile", f"hold {text}")
    except LanguageError as error:
        return error.message
    return ""


def _expect(text: str) -> str:
    from rascal.experiment.expectation import read_expectation

    try:
        read_expectation(text)
    except ConfigError as error:
        return error.message
    return ""


def _fault(text: str, proxy: str) -> str:
    """What is wrong with a sentence: tried in a file of its own."""
    answers = Answers(**{**DEFAULTS, "node": DEFAULTS["target"], "fault": text, "proxy": proxy})
    try:
        problems(answers.text(""), "")
    except ConfigErrors as errors:
        return errors.findings[0].message
    return ""


def _proxies(node: str, *, quiet: bool) -> list[str]:
    """The proxies of a node, if it answers."""
    from rascal.control.client import Client

    found: dict[str, Any] = {}
    with suppress(RascalError, OSError), Client(node, timeout=QUICK) as client:
        found = dict(client.proxies())
    if quiet:
        return list(found)
    if found:
        names = ", ".join(f"{name} ({one['protocol']})" for name, one in found.items())
        say(f"  proxies there: {names}", err=True)
    else:
        say(f"  nobody answers at {node} at the moment", err=True)
    return list(found)


def _starter(path: Path, *, silent: bool) -> str:
    """A scenario file to begin with, if there is none and one is wanted."""
    if path.exists():
        return ""
    question = f"{path} is not there yet. Write one to begin with?"
    if not silent and not click.confirm(question, default=True, err=True):
        complain(ConfigError(f"{path} is to be written before the experiment can run"))
        return ""
    from rascal.cli.load.init import STARTER

    return STARTER.format(file=path)


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as out:
        out.write(text)

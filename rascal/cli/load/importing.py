"""`rascal load import`: a scenario of a HAR file, an OpenAPI description or curl command lines."""

from __future__ import annotations

import ipaddress
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from rascal.cli.output import many, say
from rascal.errors import ConfigError

if TYPE_CHECKING:
    from rascal.load.importing import Recorded

STDIN = "-"
SOURCES = ("har", "openapi", "curl")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How files begin that some tools of Windows write."""
EXAMPLE = "http://127.0.0.1:8080"


@click.command(name="import")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option(
    "--from", "source", type=click.Choice(SOURCES), help="What FILE is; found out without it."
)
@click.option("-o", "--output", type=click.Path(), help="Write it there; without it, show it.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@click.option(
    "--everything", is_flag=True, help="Of a HAR file, images, styles and other hosts too."
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="METHOD",
    help="Of OpenAPI, these too, besides GET and HEAD: post, put, patch, delete. Repeatable.",
)
def import_(
    file: str,
    source: str | None,
    output: str | None,
    force: bool,
    everything: bool,
    methods: tuple[str, ...],
) -> None:
    """Make a scenario of FILE; - is the standard input.

    \b
    rascal load import session.har --output shop.py
    rascal load import openapi.yml --method post --output api.py
    rascal load import - --from curl < copied.txt

    A HAR file is what the network panel of a browser saves, a curl command what it copies. Read
    the scenario through before it runs: passwords and tokens are left out of it and become
    options, and what could not be taken over is named.
    """
    from rascal.cli.load.going import refusing

    with refusing():
        from rascal.load.importing import read, scenario_text

        recorded = read(
            "standard input" if file == STDIN else file,
            _text(file),
            source=source or "",
            everything=everything,
            methods=methods,
        )
        text = scenario_text(recorded, output or "scenario.py")
        if output is None:
            click.echo(text, nl=False)
        else:
            _write(output, text, force)
    _tell(recorded, output)


def _text(file: str) -> str:
    """What is in a file. Raises ConfigError."""
    from rascal.load.importing import LARGEST

    try:
        if file == STDIN:
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(file).open("rb") as read:
                data = read.read(LARGEST + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"'{file}' cannot be read: {why}") from error
    try:
        return data.decode("utf-16" if data[:2] in UTF_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{file}' is not text in UTF-8: {error.reason}") from error


def _write(output: str, text: str, force: bool) -> None:
    """Raises ConfigError."""
    try:
        with Path(output).open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{output} is there already: give another name, or --force to replace it"
        ) from None
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from error


def _tell(recorded: Recorded, output: str | None) -> None:
    """What was found, what to look at, and what to do next; beside a shown scenario on stderr."""
    err = output is None
    requests = sum(len(one.steps) for one in recorded.recordings)
    scenarios = many(len(recorded.recordings), "scenario")
    target = f", to {recorded.target}" if recorded.target else ""
    say(
        f"{output or recorded.origin}: {scenarios}, {many(requests, 'request')}{target}",
        err=err,
    )
    for note in recorded.notes:
        say(f"  {note}", err=err)
    say("next, one request after the other, without load:", err=err)
    say(f"  {_next(recorded, output)}", err=err)


def _next(recorded: Recorded, output: str | None) -> str:
    """The command that tries it."""
    from rascal.load.importing import secrets_of

    target = recorded.target or EXAMPLE
    words = ["rascal", "load", "run", output or "scenario.py", "--target", target, "--once"]
    host = urlsplit(target).hostname or ""
    if not _here(host):
        words += ["--allow", host]
    options = [f"--{name.replace('_', '-')} …" for name in secrets_of(recorded)]
    return " ".join([shlex.join(words), *options])


def _here(host: str) -> bool:
    """Whether it is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""`rascal demo`: hands over to rascal.demo, which has options of its own."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import click

from rascal.cli.output import cannot, leave
from rascal.errors import RascalError


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def demo(words: tuple[str, ...]) -> None:
    """Watch six failures between real clients and real servers (rascal demo --help)."""
    with cannot():
        if find_spec("rascal.demo") is None or find_spec("rascal.demo.__main__") is None:
            raise RascalError("this installation has no demo")
        leave(import_module("rascal.demo.__main__").main(words))

"""The group of all commands. One line of help for each stands here, the rest in its module."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

COMMANDS = {
    "check": "Read a proxies.ini and say what is wrong with it.",
    "kinds": "List the kinds of faults, or explain one.",
    "protocols": "List the protocols, or explain one.",
    "recipes": "List the recipes of incidents, or explain one.",
    "demo": "Watch six failures between real clients and real servers.",
}
"""Name of the command = name of its module, and its line in the list."""


class Lazy(click.Group):
    """Imports a command when it is called, and not for the list of all."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"rascal.cli.{name}"), name)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from rascal.errors import did_you_mean

            near = did_you_mean(args[0], COMMANDS)
            context.fail(
                f"there is no command '{args[0]}'; commands: {', '.join(COMMANDS)}"
                + (f".{near}" if near else "")
            )
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Services"):
            formatter.write_dl(
                [("twistd -n --pidfile= rascal-proxy --config proxies.ini", "run the proxies")]
            )
        with formatter.section("Exit status"):
            formatter.write_dl(
                [
                    ("0", "all well"),
                    ("1", "what was looked at is not well"),
                    ("2", "the command cannot be carried out"),
                ]
            )


def _version(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and not context.resilient_parsing:
        from rascal import __version__

        click.echo(f"rascal {__version__}")
        context.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def rascal() -> None:
    """Make databases, caches and services misbehave as they do in production."""

"""The group of all commands. One line of help for each stands here, the rest in its module."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

SECTIONS: dict[str, dict[str, str]] = {
    "See": {
        "status": "How the service is: proxies, faults, the lever, the seed.",
        "proxies": "List the proxies.",
        "faults": "List faults and scripts with what they have counted.",
        "connections": "List the connections of a proxy that live.",
        "counters": "Show what has been counted, or set it to zero.",
        "watch": "Traffic and faults, live, redrawn in place.",
        "tail": "Exchanges, as they happen.",
    },
    "Break": {
        "add": "Install a fault: rascal add db delay 2s match statement=SELECT.",
        "change": "Change a fault, script or recipe.",
        "enable": "Arm faults.",
        "disable": "Disarm faults; what they hold is let go.",
        "restart": "Start faults and scripts from the beginning.",
        "remove": "Take faults away, and show what they did.",
        "script": "Exact steps for the next exchanges, and whether all were used.",
        "recipe": "Imitate an incident.",
        "kill": "End connections.",
        "panic": "Stop everything: no fault anywhere, and none can be added.",
        "release": "Release the panic lever.",
    },
    "Load": {
        "load": "Offer load to a target: run, init, import, attach, stop, change.",
        "agents": "List the agents that wait at a Redis.",
        "runs": "What has run and what came out: list, show, compare, export, delete.",
    },
    "Judge": {
        "experiment": "What happens under load when something fails: run, check, explain, judge.",
    },
    "Set up": {
        "wrap": "Put proxies before what an application needs (Compose, or a list of servers).",
        "proxy": "Add, change, remove, enable, disable a proxy.",
        "check": "Read a proxies.ini and say what is wrong with it.",
        "export": "Write the state of the service as a proxies.ini.",
        "import": "Make a proxies.ini of another tool's files (Vaurien).",
        "reload": "Let the service read its proxies.ini again.",
        "seed": "Show or set the seed of all draws.",
        "token": "Make a token for the control API, show the fingerprint of one.",
        "completion": "Completion for bash, zsh and fish.",
    },
    "Learn": {
        "kinds": "List the kinds of faults, or explain one.",
        "protocols": "List the protocols, or explain one.",
        "recipes": "List the recipes of incidents, or explain one.",
        "demo": "Watch six failures between real clients and real servers.",
    },
}
"""Names and lines of the commands, as the list of all shows them."""

COMMANDS = {name: line for section in SECTIONS.values() for name, line in section.items()}

HOMES = {
    "add": "adding",
    "change": "adding",
    "enable": "switching",
    "disable": "switching",
    "restart": "switching",
    "remove": "switching",
    "panic": "lever",
    "release": "lever",
    "kill": "connections",
    "export": "node",
    "import": "importing:import_",
    "reload": "node",
    "seed": "node",
    "counters": "node",
    "status": "node",
}
"""Modules of commands that do not bear their module's name."""

STATUSES = (
    ("0", "all well"),
    ("1", "what was looked at is not well"),
    ("2", "the command cannot be carried out as it was written"),
    ("3", "the service cannot be reached"),
    ("4", "the service refuses"),
    ("130", "interrupted"),
)


class LazyGroup(click.Group):
    """Knows its commands by name and line of help alone; a module is imported when it is called."""

    lines: ClassVar[Mapping[str, str]] = {}
    """By name, one line of help."""
    package: ClassVar[str] = ""
    homes: ClassVar[Mapping[str, str]] = {}
    """MODULE or MODULE:ATTRIBUTE of commands that are not NAME:NAME; a module is one of the
    package, or stands whole behind a dot."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.lines)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.lines:
            return None
        module, _, attribute = self.homes.get(name, name).partition(":")
        place = module.removeprefix(".") if module.startswith(".") else f"{self.package}.{module}"
        command: click.Command = getattr(import_module(place), attribute or name)
        return command

    def hint(self, word: str) -> str:
        """What else the word may have meant, with its leading blank; "" for nothing."""
        from rascal.errors import did_you_mean

        return did_you_mean(word, self.lines)

    def unknown(self, word: str) -> str:
        """What is said of a word that is no command."""
        hint = self.hint(word)
        return f"there is no command '{word}'; commands: {', '.join(self.lines)}" + (
            f".{hint}" if hint else ""
        )

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.lines and not args[0].startswith("-"):
            context.fail(self.unknown(args[0]))
        return super().resolve_command(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        if not incomplete or incomplete[0].isalnum():
            return [
                CompletionItem(name, help=line)
                for name, line in self.lines.items()
                if name.startswith(incomplete)
            ]
        return super().shell_complete(context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines.items()))


class Rascal(LazyGroup):
    """All commands, in sections."""

    lines = COMMANDS
    package = "rascal.cli"
    homes = HOMES

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(section.items()))

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Services"):
            formatter.write_dl(
                [
                    ("twistd -n --pidfile= rascal-proxy --config proxies.ini", "run the proxies"),
                    ("twistd -n --pidfile= rascal-agent --redis redis://…", "send load"),
                ]
            )
        with formatter.section("Environment"):
            formatter.write_dl(
                [
                    ("RASCAL_URL", "where the service is (http://127.0.0.1:8474)"),
                    ("RASCAL_TOKEN, RASCAL_TOKEN_FILE", "the token, or the file it stands in"),
                    ("RASCAL_CA_FILE", "certificates to trust for https"),
                    ("RASCAL_STORE", "the file that keeps the runs"),
                    ("RASCAL_REDIS, RASCAL_REDIS_PASSWORD", "where agents wait, and its password"),
                    ("NO_COLOR", "no colours"),
                ]
            )
        with formatter.section("Exit status"):
            formatter.write_dl(list(STATUSES))


def _version(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and not context.resilient_parsing:
        from rascal import __version__

        click.echo(f"rascal {__version__}")
        context.exit()


@click.group(cls=Rascal, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", metavar="URL", help="Where the service is; RASCAL_URL without it.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.pass_context
def rascal(context: click.Context, url: str | None) -> None:
    """Make databases, caches and services misbehave as they do in production."""
    context.meta["rascal.url"] = url

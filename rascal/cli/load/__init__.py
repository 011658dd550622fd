"""`rascal load`: run scenarios against a target, look at runs that go on, end and change them.

A command's module is imported when it is called; none imports a reactor before it is chosen.
"""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from rascal.errors import did_you_mean

COMMANDS = {
    "run": "Run the scenarios of a file against a target.",
    "init": "Write a scenario to begin with.",
    "import": "Make a scenario of a HAR file, an OpenAPI description or curl commands.",
    "attach": "The live view of a run that goes on.",
    "stop": "End a run that goes on.",
    "change": "Change the load of a run that goes on.",
    "agents": "List the agents that wait at a Redis.",
}

HOMES = {
    "agents": ("rascal.cli.agents", "agents"),
    "import": ("rascal.cli.load.importing", "import_"),
}
"""Of commands that do not stand in a module of their name."""

STATUSES = (
    ("0", "as expected"),
    ("1", "an objective was not kept"),
    ("2", "the run cannot start as it was written"),
    ("3", "the run proves nothing: the load was not offered, or an agent was the bottleneck"),
    ("4", "ended by a stop rule"),
    ("130", "interrupted"),
)
"""Of `rascal load run` and `attach`."""


class Lazy(click.Group):
    """Imports a command when it is called, and not for the list of all."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        home, attribute = HOMES.get(name, (f"rascal.cli.load.{name}", name))
        command: click.Command = getattr(import_module(home), attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = did_you_mean(args[0], COMMANDS)
            hint = f" To run it: rascal load run {args[0]}" if args[0].endswith(".py") else near
            context.fail(
                f"there is no command '{args[0]}'; commands: {', '.join(COMMANDS)}"
                + (f".{hint}" if hint else "")
            )
        return super().resolve_command(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        if not incomplete or incomplete[0].isalnum():
            return [
                CompletionItem(name, help=line)
                for name, line in COMMANDS.items()
                if name.startswith(incomplete)
            ]
        return super().shell_complete(context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit status of run and attach"):
            formatter.write_dl(list(STATUSES))


@click.group(cls=Lazy)
def load() -> None:
    """Offer load to a target, honestly.

    \b
    rascal load init shop.py
    rascal load run shop.py --target http://127.0.0.1:8080 --once
    rascal load run shop.py --target http://127.0.0.1:8080 --rate 200/s --for 60s
    """

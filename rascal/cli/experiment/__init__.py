"""`rascal experiment`: load, faults and a verdict; what is planned, what came out, what was left.

A command's module is imported when it is called; none imports a reactor before it is chosen.
"""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from rascal.errors import did_you_mean

COMMANDS = {
    "run": ("run", "run", "Run an experiment to its verdict."),
    "check": ("check", "check", "Say everything that is wrong with an experiment file."),
    "explain": (
        "explain",
        "explain",
        "Show the plan as a timeline, and whether it is long enough.",
    ),
    "init": ("init", "init", "Write an experiment to begin with."),
    "judge": ("judge", "judge", "Judge a stored run again, with other thresholds."),
    "list": ("listing", "list_", "List experiments and their verdicts, the newest first."),
    "show": ("judge", "show", "Show what came out of one."),
    "report": ("report", "report", "Write one as a page, JUnit, Markdown; two side by side."),
    "recover": ("recover", "recover", "Take away what dead experiments left behind."),
    "schema": ("schema", "schema", "The JSON Schema of experiment files, for editors."),
}
"""Module, attribute and one line of help."""

STATUSES = (
    ("0", "as expected or better, and every objective was kept"),
    ("1", "worse than expected, or an objective was not kept"),
    ("2", "the experiment cannot start as it was written"),
    ("3", "the run proves nothing, or cannot tell whether it is as expected"),
    ("4", "ended by a stop rule or the panic lever"),
    ("130", "interrupted"),
)
"""Of `rascal experiment run`."""


class Experiments(click.Group):
    """Imports a command when it is called, and not for the list of all."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        home = import_module(f"rascal.cli.experiment.{module}")
        command: click.Command = getattr(home, attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            is_file = args[0].endswith((".yml", ".yaml"))
            near = did_you_mean(args[0], COMMANDS)
            hint = f" To run it: rascal experiment run {args[0]}" if is_file else near
            context.fail(
                f"there is no command '{args[0]}'; commands: {', '.join(COMMANDS)}"
                + (f".{hint}" if hint else "")
            )
        return super().resolve_command(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        if not incomplete or incomplete[0].isalnum():
            return [
                CompletionItem(name, help=line)
                for name, (_, _, line) in COMMANDS.items()
                if name.startswith(incomplete)
            ]
        return super().shell_complete(context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit status of run"):
            formatter.write_dl(list(STATUSES))


@click.group(cls=Experiments)
def experiment() -> None:
    """Find out what happens to an application under load when something that it needs fails.

    \b
    rascal experiment init checkout.yml
    rascal experiment explain checkout.yml
    rascal experiment run checkout.yml
    """

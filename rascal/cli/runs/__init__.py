"""`rascal runs`: what has run, what came out, and how two runs differ."""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

COMMANDS = {
    "list": ("listing", "list_", "List runs, the newest first (what `rascal runs` does)."),
    "show": ("showing", "show", "Show one: what was run, flows, outcomes, objectives, agents."),
    "compare": ("comparing", "compare", "Hold one run against another, with uncertainty."),
    "events": ("timeline", "events", "List what happened in a run."),
    "samples": ("timeline", "samples", "Show failing exchanges that were kept."),
    "export": (
        "files",
        "export",
        "Write a run as a page, JUnit, JSON, CSV, HDR log or archive.",
    ),
    "import": ("files", "import_", "Read runs of an archive."),
    "sources": ("files", "sources", "List the files a run was made of, or write them."),
    "label": ("tending", "label", "Give runs labels, or take some away."),
    "delete": ("tending", "delete", "Delete runs."),
}


class Runs(click.Group):
    """Lists when nothing else is said; imports a command when it is called."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        asked = args and args[0] in ("-h", "--help")
        if not asked and (not args or args[0].startswith("-")) and not context.resilient_parsing:
            args.insert(0, "list")
        return super().parse_args(context, args)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(import_module(f"rascal.cli.runs.{module}"), attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from rascal.errors import did_you_mean

            near = did_you_mean(args[0], COMMANDS) or f" To see one: rascal runs show {args[0]}"
            context.fail(f"runs has no command '{args[0]}'; commands: {', '.join(COMMANDS)}.{near}")
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
        with formatter.section("Environment"):
            formatter.write_dl(
                [
                    (
                        "RASCAL_STORE",
                        "the file that keeps the runs ($XDG_DATA_HOME/rascal/runs.db, else "
                        "~/.local/share/rascal/runs.db)",
                    )
                ]
            )


@click.group(cls=Runs, context_settings={"help_option_names": ["-h", "--help"]})
def runs() -> None:
    """What has run, what came out, and how two runs differ.

    A RUN is its number, its name (the newest that bears it), the beginning of a name, or `last`.
    """

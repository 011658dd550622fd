"""`rascal runs`: what has run, what came out, and how two runs differ."""

from __future__ import annotations

import click

from rascal.cli.app import LazyGroup

COMMANDS = {
    "list": "List runs, the newest first (what `rascal runs` does).",
    "show": "Show one: what was run, flows, outcomes, objectives, agents.",
    "compare": "Hold one run against another, with uncertainty.",
    "events": "List what happened in a run.",
    "samples": "Show failing exchanges that were kept.",
    "export": "Write a run as a page, JUnit, JSON, CSV, HDR log or archive.",
    "import": "Read runs of an archive.",
    "sources": "List the files a run was made of, or write them.",
    "label": "Give runs labels, or take some away.",
    "delete": "Delete runs.",
}

HOMES = {
    "list": "listing:list_",
    "show": "showing",
    "compare": "comparing",
    "events": "timeline",
    "samples": "timeline",
    "export": "files",
    "import": "files:import_",
    "sources": "files",
    "label": "tending",
    "delete": "tending",
}
"""Of commands that do not stand in a module of their name."""


class Runs(LazyGroup):
    """Lists when nothing else is said."""

    lines = COMMANDS
    package = "rascal.cli.runs"
    homes = HOMES

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        asked = args and args[0] in ("-h", "--help")
        if not asked and (not args or args[0].startswith("-")) and not context.resilient_parsing:
            args.insert(0, "list")
        return super().parse_args(context, args)

    def hint(self, word: str) -> str:
        """Whoever names a run wants to see it."""
        return super().hint(word) or f" To see one: rascal runs show {word}"

    def unknown(self, word: str) -> str:
        """A run is no command of it."""
        names = ", ".join(self.lines)
        return f"runs has no command '{word}'; commands: {names}.{self.hint(word)}"

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

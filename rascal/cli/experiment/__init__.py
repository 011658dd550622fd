"""`rascal experiment`: load, faults and a verdict; what is planned, what came out, what was left.

A command's module is imported when it is called; none imports a reactor before it is chosen.
"""

from __future__ import annotations

import click

from rascal.cli.app import LazyGroup

COMMANDS = {
    "run": "Run an experiment to its verdict.",
    "check": "Say everything that is wrong with an experiment file.",
    "explain": "Show the plan as a timeline, and whether it is long enough.",
    "init": "Write an experiment to begin with.",
    "judge": "Judge a stored run again, with other thresholds.",
    "list": "List experiments and their verdicts, the newest first.",
    "show": "Show what came out of one.",
    "report": "Write one as a page, JUnit, Markdown; two side by side.",
    "recover": "Take away what dead experiments left behind.",
    "schema": "The JSON Schema of experiment files, for editors.",
}

HOMES = {
    "list": "listing:list_",
    "show": "judge",
}
"""Of commands that do not stand in a module of their name."""

STATUSES = (
    ("0", "as expected or better, and every objective was kept"),
    ("1", "worse than expected, or an objective was not kept"),
    ("2", "the experiment cannot start as it was written"),
    ("3", "the run proves nothing, or cannot tell whether it is as expected"),
    ("4", "ended by a stop rule or the panic lever"),
    ("130", "interrupted"),
)
"""Of `rascal experiment run`."""


class Experiments(LazyGroup):
    """The commands of `rascal experiment`."""

    lines = COMMANDS
    package = "rascal.cli.experiment"
    homes = HOMES

    def hint(self, word: str) -> str:
        """An experiment file is what one runs."""
        if word.endswith((".yml", ".yaml")):
            return f" To run it: rascal experiment run {word}"
        return super().hint(word)

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

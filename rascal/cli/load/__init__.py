"""`rascal load`: run scenarios against a target, look at runs that go on, end and change them.

A command's module is imported when it is called; none imports a reactor before it is chosen.
"""

from __future__ import annotations

import click

from rascal.cli.app import LazyGroup

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
    "agents": ".rascal.cli.agents",
    "import": "importing:import_",
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


class Load(LazyGroup):
    """The commands of `rascal load`."""

    lines = COMMANDS
    package = "rascal.cli.load"
    homes = HOMES

    def hint(self, word: str) -> str:
        """A scenario file is what one runs."""
        return f" To run it: rascal load run {word}" if word.endswith(".py") else super().hint(word)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit status of run and attach"):
            formatter.write_dl(list(STATUSES))


@click.group(cls=Load)
def load() -> None:
    """Offer load to a target, honestly.

    \b
    rascal load init shop.py
    rascal load run shop.py --target http://127.0.0.1:8080 --once
    rascal load run shop.py --target http://127.0.0.1:8080 --rate 200/s --for 60s
    """

"""`rascal experiment report`: a stored experiment as files, alone or beside another."""

from __future__ import annotations

from typing import Any

import click

from rascal.cli.experiment.outputs import OutputCommand, output_flags, told, with_reports
from rascal.cli.output import CANNOT, as_json, leave, say
from rascal.cli.runs.common import run_names


@click.command(cls=OutputCommand)
@click.argument("run", default="last", shell_complete=run_names)
@output_flags
@click.option(
    "--compare", "other", metavar="RUN", shell_complete=run_names,
    help="Hold RUN against this one, which was before it: --html, --json or the terminal.",
)  # fmt: skip
@click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
def report(run: str, other: str | None, store: str | None, **given: Any) -> None:
    """Write RUN (the last experiment) into files; without any, its Markdown on the terminal.

    \b
    rascal experiment report 17 --html report.html --junit report.xml
    rascal experiment report last --compare 17 --html compared.html

    Everything is made of the stored run, judged again. The exit status says whether the files
    could be written; that of the verdict comes from `run` and `judge`.
    """
    from rascal.cli.experiment.judge import opened
    from rascal.cli.load.going import refusing

    with refusing(), opened(store) as found:
        given = with_reports(given)
        which = _last(found, run)
        problems = _compared(found, other, which, given) if other else _alone(found, which, given)
    leave(CANNOT if problems else 0)


def _last(store: Any, which: str) -> str:
    """The last run that is an experiment."""
    if which != "last":
        return which
    newest = store.runs(kind="experiment", last=1)
    return str(newest[0].id) if newest else which


def _alone(store: Any, which: str, given: dict[str, Any]) -> list[str]:
    from rascal.experiment.outputs.gathered import gather

    it = gather(store, which)
    if given["json_"]:
        from rascal.experiment.outputs.json import data

        as_json(data(it))
    elif not given["reports"]:
        from rascal.experiment.outputs.markdown import PLACEHOLDER, markdown

        say(markdown(it, given["link"] or PLACEHOLDER).rstrip("\n"))
    written, problems = given["reports"].write(it)
    told(written, problems)
    return list(problems)


def _compared(store: Any, before: str, after: str, given: dict[str, Any]) -> list[str]:
    import json

    from rascal.cli.outputs import OutputError, put
    from rascal.errors import ConfigError
    from rascal.experiment.outputs.comparing import compare, data, lines
    from rascal.experiment.outputs.comparison import html

    paths = given["reports"].paths
    for name in ("junit", "markdown"):
        if name in paths:
            raise ConfigError(f"--{name} is of one run: leave out --compare")
    it = compare(store, _last(store, before), after)
    if given["json_"]:
        as_json(data(it))
    elif not paths:
        for line in lines(it):
            say(line)
    written: list[str] = []
    problems: list[str] = []
    makers = {
        "html": lambda: html(it),
        "json": lambda: json.dumps(data(it), ensure_ascii=False, indent=1) + "\n",
    }
    for name, path in paths.items():
        try:
            put(path, (makers[name](),), True)
            written.append(path)
        except OutputError as error:
            problems.append(f"--{name}: {error}")
    told(written, problems)
    return problems

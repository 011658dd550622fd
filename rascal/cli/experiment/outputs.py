"""Files that an experiment is written into: flags, the check that they can be written, writing.

All of them are made of the stored run; `rascal experiment run` writes them at its end, `rascal
experiment report` at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import click

from rascal.cli.load.flags import SUMMARY, json_apart
from rascal.cli.output import CANNOT, say
from rascal.cli.outputs import OutputError, Outputs, put
from rascal.errors import ConfigError, RascalError

FLAGS: dict[str, tuple[str, str]] = {
    "html": ("FILE", "A page with its timeline and evidence that needs no other file."),
    "markdown": ("FILE", "A few lines for a pull request."),
    "junit": ("FILE", "Expectation, objectives and invariants as JUnit XML, for CI systems."),
}
JSON = "What came out, and nothing else; FILE.json: all of it, into it."
LINK = "Where the page will be, for --markdown; without it REPORT_URL stands there."


class OutputCommand(click.Command):
    """--json takes a file, if one stands behind it."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """With --json joined to its file."""
        return super().parse_args(context, json_apart(args))


def output_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """--html, --markdown, --junit, --json, --link."""
    found = click.option("--link", metavar="URL", help=LINK)(function)
    found = click.option(
        "--json", "json_", metavar="[FILE]", is_flag=False, flag_value=SUMMARY, help=JSON
    )(found)
    for name, (metavar, text) in reversed(FLAGS.items()):
        found = click.option(f"--{name}", metavar=metavar, help=text)(found)
    return found


@attrs.frozen(kw_only=True)
class Reports:
    """Which files of one run, and what stands in them."""

    paths: Mapping[str, str]
    link: str | None = None

    def __bool__(self) -> bool:
        return bool(self.paths)

    def write(self, it: Any) -> tuple[list[str], list[str]]:
        """Write them of a gathered experiment: what is written, and what could not be."""
        written, problems = [], []
        for name, path in self.paths.items():
            try:
                put(path, (self._text(name, it),), True)
                written.append(path)
            except OutputError as error:
                problems.append(f"--{name}: {error}")
            except OSError as error:
                problems.append(f"--{name}: {error.strerror or error}")
        return written, problems

    def _text(self, name: str, it: Any) -> str:
        if name == "html":
            from rascal.experiment.outputs.html import html

            return html(it)
        if name == "junit":
            from rascal.experiment.outputs.junit import junit

            return junit(it)
        if name == "json":
            from rascal.experiment.outputs.json import as_json

            return as_json(it)
        from rascal.experiment.outputs.markdown import PLACEHOLDER, markdown

        return markdown(it, self.link or PLACEHOLDER)


def with_reports(given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags, with `reports`, checked, and `json_` as a switch. Raises ConfigError."""
    paths = {name: given[name] for name in FLAGS if given[name] is not None}
    if given["json_"] not in (None, SUMMARY):
        paths["json"] = given["json_"]
    for name, path in paths.items():
        if path == SUMMARY:
            raise ConfigError(f"--{name}: the report is on the terminal: name a file")
    if given["link"] and "markdown" not in paths:
        raise ConfigError("--link is for --markdown FILE")
    if paths and given.get("no_store"):
        raise ConfigError(f"--{next(iter(paths))} is made of the stored run: leave out --no-store")
    if paths and given.get("repeat") is not None:
        raise ConfigError(
            f"--{next(iter(paths))} is of one run: leave out --repeat, and ask for each: rascal "
            "experiment report RUN"
        )
    Outputs(paths=paths).check()
    reports = Reports(paths=paths, link=given["link"])
    return {**given, "json_": given["json_"] == SUMMARY, "reports": reports}


def leave_reports(reports: Reports, store: Any, run: str, status: int) -> int:
    """Write what was asked for, and give the exit status: one that was as expected has failed to
    do what was asked if a file is missing."""
    if not reports:
        return status
    from rascal.experiment.outputs.gathered import gather

    try:
        written, problems = reports.write(gather(store, run))
    except RascalError as error:
        written, problems = [], [f"no report could be made: {error}"]
    told(written, problems)
    return status or (CANNOT if problems else 0)


def told(written: list[str], problems: list[str]) -> None:
    """Say what was written."""
    if written:
        say(f"wrote {', '.join(written)}", err=True)
    for problem in problems:
        say(f"error: {problem}", err=True)

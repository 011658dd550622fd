"""`rascal check FILE`: the same reading that rascal-proxy does at start, and nothing else."""

from __future__ import annotations

import click

from rascal.cli.output import CANNOT, NOT_WELL, as_json, leave, say
from rascal.errors import ConfigError, ConfigErrors


@click.command()
@click.argument("file", type=click.Path(), default="proxies.ini")
@click.option("--json", "json_", is_flag=True, help="For programs: the findings as JSON.")
def check(file: str, json_: bool) -> None:
    """Read FILE (proxies.ini) and all that it includes, and show everything that is wrong.

    Nothing is started and no port is opened. Each finding is one line, FILE:LINE:COLUMN, what is
    wrong, what is allowed.

    Exit status: 0 all well, 1 something is wrong, 2 the file cannot be read.
    """
    from rascal.config import check as check_file

    try:
        verdict = check_file(file)
    except ConfigErrors as errors:
        findings = errors.findings
    else:
        if json_:
            as_json({"file": file, "findings": []})
        else:
            say(verdict)
        return
    if json_:
        as_json({"file": file, "findings": [facts(finding) for finding in findings]})
    else:
        for finding in findings:
            say(str(finding), err=True)
        many = len(findings)
        say(f"{file}: {many} {'finding' if many == 1 else 'findings'}", err=True)
    unreadable = any(one.code == "file" and one.value == file and not one.line for one in findings)
    leave(CANNOT if unreadable else NOT_WELL)


def facts(finding: ConfigError) -> dict[str, object]:
    """A finding as plain data."""
    known = {
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "code": finding.code,
        "message": finding.message,
        "section": finding.section,
        "option": finding.option,
        "value": finding.value if isinstance(finding.value, str | int | float) else None,
        "allowed": list(finding.allowed) or None,
    }
    return {name: value for name, value in known.items() if value is not None}

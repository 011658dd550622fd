"""A section of an INI file that is one service's alone: [agent], [panel].

values = read_section("agent.ini", "agent", AGENT, value, os.environ, findings)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rascal.config.files import Files
from rascal.errors import ConfigError, did_you_mean, listed
from rascal.language import LanguageError
from rascal.options import Option, OptionTable


def read_section(
    path: str,
    name: str,
    table: OptionTable,
    value: Callable[[Option, str], Any],
    environ: Mapping[str, str],
    findings: list[ConfigError],
) -> dict[str, Any]:
    """The plain values that the section sets; other sections are other services'.

    Args:
        path: the file, which may include others.
        name: the section.
        table: its options.
        value: makes the plain value of a text; raises ConfigError.
        environ: for `${NAME}`.
        findings: takes everything that is wrong.
    """
    files = Files(environ)
    files.read(path, ())
    findings += files.findings
    sections = [section for section in files.sections if section.name == name]
    if not sections and not files.findings:
        findings.append(ConfigError(f"{path} has no section [{name}]", path=path))
    values: dict[str, Any] = {}
    for entry in (entry for section in sections for entry in section.entries.values()):
        option = table.get(entry.name)
        if option is None:
            near = did_you_mean(entry.name, table)
            message = f"[{name}] has no option '{entry.name}'; options: {listed(table)}.{near}"
            findings.append(entry.name_error(message, allowed=table))
            continue
        try:
            values[entry.name] = value(option, entry.text)
        except LanguageError as error:
            findings.append(entry.located(error))
        except ConfigError as error:
            findings.append(entry.error(error.message))
    return values

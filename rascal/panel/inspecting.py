"""The process that reads one scenario file for the panel, or edits and plans of experiments.

    python -m rascal.panel.inspecting FD PATH SECONDS      one scenario file, then it ends
    python -m rascal.panel.inspecting                      experiments: a JSON line in, one out

A scenario file is code: it is run here, in a process of its own that is killed when it takes too
long, and never in the panel. Only what it declares goes back, as one JSON line on FD.
"""

from __future__ import annotations

import ast
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from rascal.errors import ConfigError, ConfigErrors
from rascal.units import plain_text

MEMORY = 4 << 30
TEXT = 2000
"""Characters of a description that are kept."""
MANY = 200
"""Scenarios, parameters and findings that are told of a file."""


def finding(error: ConfigError, base: str = "") -> dict[str, Any]:
    """One finding as pages show it; files are named within `base`."""
    path = error.path or ""
    if base and path.startswith(base):
        path = path[len(base) :].lstrip("/")
    found = {
        "message": error.message,
        "file": path or None,
        "line": error.line,
        "column": error.column,
        "option": error.option,
        "code": error.code,
    }
    return {name: value for name, value in found.items() if value is not None}


def described(path: str, base: str) -> dict[str, Any]:
    """What a scenario file declares, and what is wrong with it. Runs the file."""
    from rascal.load.book import look

    found = look(path)
    unset = {
        f"option '{name}' has no default and needs a value"
        for name, one in found.parameters.items()
        if one.option.required
    }
    return {
        "doc": _doc(path),
        "scenarios": {
            name: {
                "weight": one.weight,
                "doc": _first(one.function.__doc__),
                "tags": list(one.tags),
                "deadline": one.deadline,
                "line": one.place.line,
            }
            for name, one in list(found.scenarios.items())[:MANY]
        },
        "parameters": [parameter(one) for one in list(found.parameters.values())[:MANY]],
        "findings": [
            finding(one, base) for one in found.findings[:MANY] if one.message not in unset
        ],
    }


def parameter(one: Any) -> dict[str, Any]:
    """A typed parameter: what its field of the form needs."""
    option = one.option
    kind = list(option.type) if isinstance(option.type, tuple) else option.type

    def bound(value: Any) -> Any:
        return None if value is None or isinstance(kind, list) else plain_text(kind, value)

    return {
        "name": option.name,
        "type": kind,
        "help": option.help,
        "default": "" if option.required else str(one),
        "minimum": option.minimum,
        "maximum": option.maximum,
        "least": bound(option.minimum),
        "most": bound(option.maximum),
        "required": option.required,
    }


def _doc(path: str) -> str:
    with suppress(OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return (ast.get_docstring(ast.parse(Path(path).read_bytes())) or "")[:TEXT]
    return ""


def _first(text: Any) -> str:
    """The first paragraph of a description."""
    lines = " ".join(str(text or "").strip().partition("\n\n")[0].split())
    return lines[:TEXT]


def bound(seconds: float) -> None:
    """What it may use at most, whoever watches over it."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(seconds) + 1)
    for what, most in (
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _one(fd: int, path: str, base: str, seconds: float) -> None:
    bound(seconds)
    try:
        found = described(path, base)
    except ConfigErrors as errors:
        found = {"findings": [finding(one, base) for one in errors.findings]}
    except Exception as error:  # of code that is not ours
        said = ConfigError(f"{type(error).__name__}: {error}", path=path)
        found = {"findings": [finding(said, base)]}
    data = json.dumps(found).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]
    os._exit(0)  # threads of the file's code do not keep us


def _lines() -> None:
    """Answer until there is nobody who asks."""
    from rascal.panel.experiment_text import ANSWERS

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            found: dict[str, Any] = {"answer": ANSWERS[asked["what"]](**asked["given"])}
        except ConfigErrors as errors:
            found = {"findings": [finding(one) for one in errors.findings]}
        except ConfigError as error:
            found = {"findings": [finding(error)]}
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def main() -> None:
    """See above."""
    if len(sys.argv) > 1:
        _one(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
    _lines()


if __name__ == "__main__":
    main()

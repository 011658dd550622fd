"""Scenarios made of what others have recorded: HAR files, OpenAPI descriptions, curl commands.

    recorded = read("session.har", text)      # or an OpenAPI file, or curl command lines
    scenario_text(recorded)                   # Python, to be edited and kept

Each source is read into plain steps, and one writer makes the scenario of them. What cannot be
taken over is not dropped in silence: it stands as a note at the top of what is written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from rascal.errors import ConfigError
from rascal.load.importing.curl import read_curl
from rascal.load.importing.har import read_har
from rascal.load.importing.openapi import read_openapi
from rascal.load.importing.steps import Recorded, Recording, Step
from rascal.load.importing.writing import scenario_text, secrets_of

__all__ = ["FORMATS", "Recorded", "Recording", "Step", "read", "scenario_text", "secrets_of"]

FORMATS = ("har", "openapi", "curl")
LARGEST = 256 * 1024 * 1024


class _Loader(yaml.SafeLoader):
    """YAML as JSON would have it: dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(
    path: str,
    text: str,
    *,
    source: str = "",
    everything: bool = False,
    methods: Sequence[str] = (),
) -> Recorded:
    """Read a file that somebody recorded.

    Args:
        path: its name, for messages.
        text: what is in it.
        source: one of FORMATS; found out without it.
        everything: of a HAR, images, styles and other hosts too.
        methods: of an OpenAPI description, which to take besides GET and HEAD.

    Raises:
        ConfigError: it cannot be read, or nothing in it can be used.
    """
    if len(text) > LARGEST:
        raise ConfigError("this is larger than 256 MiB: record less at a time", path=path)
    data = None if source == "curl" else _data(path, text, source)
    source = source or _source_of(data, text)
    if source == "curl":
        found = read_curl(path, text)
    elif source == "har":
        found = read_har(path, data, everything=everything)
    elif source == "openapi":
        found = read_openapi(path, data, methods=methods)
    else:
        raise ConfigError(
            "this is neither a HAR file nor an OpenAPI 3 description nor curl command lines; "
            f"say which with --from ({', '.join(FORMATS)})",
            path=path,
            allowed=FORMATS,
        )
    if not any(one.steps for one in found.recordings):
        why = f": {'; '.join(found.notes)}" if found.notes else ""
        raise ConfigError(f"there is no request in it that can be used{why}", path=path)
    return found


def _data(path: str, text: str, source: str) -> Any:
    start = text.lstrip()[:1]
    if not source and not (start == "{" or "openapi" in text[:2000]):
        return None
    try:
        return json.loads(text) if start == "{" else yaml.load(text, _Loader)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"this is not JSON: {error.msg}", path=path, line=error.lineno, column=error.colno
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        raise ConfigError("this is not YAML", path=path, line=line) from error
    except RecursionError as error:
        raise ConfigError("this is nested too deeply", path=path) from error


def _source_of(data: Any, text: str) -> str:
    if isinstance(data, dict):
        if "log" in data:
            return "har"
        if "openapi" in data or "swagger" in data:
            return "openapi"
        return ""
    lines = (line.strip() for line in text.splitlines())
    return "curl" if any(line.startswith(("curl ", "$ curl ")) for line in lines) else ""

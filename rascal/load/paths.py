"""JSON paths: `$.orders[0].price` is read here; wildcards, filters and slices by a library."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from rascal.errors import ConfigError

MISSING: Final = object()
"""What a path that leads nowhere gives; None is what JSON's null gives."""

_SIMPLE = re.compile(r"\$(?:\.[A-Za-z_][\w-]*|\[-?[0-9]+\]|\['[^'\\]*'\]|\[\"[^\"\\]*\"\])*")
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(-?[0-9]+)\]|\['([^'\\]*)'\]|\[\"([^\"\\]*)\"\]")


def path(text: str) -> Callable[[Any], Any]:
    """A function that finds the first value under a path, or MISSING.

    Raises:
        ConfigError: the path does not parse, or needs a library that is not installed.
    """
    if not isinstance(text, str) or not text.startswith("$"):
        raise ConfigError(f"json: {text!r} is no JSON path; it begins with $, as in $.items[0].id")
    if _SIMPLE.fullmatch(text):
        return _simple([_step(found) for found in _STEP.finditer(text)])
    return _library(text)


def _step(found: re.Match[str]) -> str | int:
    if found[2] is not None:
        return int(found[2])
    return next(part for part in (found[1], found[3], found[4]) if part is not None)


def _simple(steps: list[Any]) -> Callable[[Any], Any]:
    def find(data: Any) -> Any:
        for step in steps:
            wanted: Any = dict if step.__class__ is str else list
            if not isinstance(data, wanted):
                return MISSING
            try:
                data = data[step]
            except (KeyError, IndexError):
                return MISSING
        return data

    return find


def _library(text: str) -> Callable[[Any], Any]:
    try:
        import jsonpath
    except ImportError:
        raise ConfigError(
            f"json: '{text}' needs the package python-jsonpath; "
            "without it paths are names and numbers: $.items[0].id"
        ) from None
    try:
        compiled = jsonpath.compile(text)
    except jsonpath.JSONPathError as error:
        said = str(error).splitlines()[0]
        raise ConfigError(f"json: '{text}' is no JSON path: {said}", value=text) from None

    def find(data: Any) -> Any:
        match = compiled.match(data)
        return MISSING if match is None else match.obj

    return find

"""Which kinds there are: those of this package's modules, and those that others bring.

A module may hold several. An entry point in the group `rascal.faults` may name a class, an
instance, or a module to look through.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any

from rascal.errors import ConfigError
from rascal.faults.types import Kind
from rascal.language import CLAUSES

PACKAGE = "rascal.faults"
GROUP = "rascal.faults"


def kinds() -> Mapping[str, Kind]:
    """The kinds of this installation, by name.

    An entry point that cannot be used is left out; `broken` says why.
    """
    return _found()[0]


def broken() -> Mapping[str, ConfigError]:
    """What is wrong with entry points that could not be used, by their names."""
    return _found()[1]


@cache
def _found() -> tuple[Mapping[str, Kind], Mapping[str, ConfigError]]:
    found: dict[str, Kind] = {}
    wrong: dict[str, ConfigError] = {}
    package = import_module(PACKAGE)
    for module in pkgutil.iter_modules(package.__path__):
        for kind in _in_module(import_module(f"{PACKAGE}.{module.name}")):
            found[kind.name] = kind
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            for kind in _loaded(entry.load()):
                _check(kind, found)
                found[kind.name] = kind
        except Exception as error:
            wrong[entry.name] = _problem(entry, error)
    return MappingProxyType(dict(sorted(found.items()))), MappingProxyType(wrong)


def _in_module(module: ModuleType) -> Iterator[Kind]:
    for thing in vars(module).values():
        if (
            inspect.isclass(thing)
            and issubclass(thing, Kind)
            and thing.__module__ == module.__name__
            and not thing.__name__.startswith("_")
            and not inspect.isabstract(thing)
        ):
            yield thing()


def _loaded(thing: Any) -> list[Kind]:
    """An entry point's object as kinds. Raises TypeError."""
    if isinstance(thing, ModuleType):
        found = list(_in_module(thing))
        if not found:
            raise TypeError(f"module {thing.__name__} defines no Kind")
        return found
    kind = thing() if inspect.isclass(thing) else thing
    if not isinstance(kind, Kind):
        raise TypeError(f"{type(kind).__name__} is no Kind")
    return [kind]


def _check(kind: Kind, found: Mapping[str, Kind]) -> None:
    """What a kind must have before anybody can use it. Raises TypeError."""
    for attribute in ("name", "summary", "faithful"):
        if not isinstance(getattr(kind, attribute, None), str):
            raise TypeError(f"{type(kind).__name__} has no {attribute}")
    if kind.name in found:
        raise TypeError(f"there is a kind '{kind.name}' already")
    for option in kind.options:
        if option in CLAUSES:
            raise TypeError(f"option '{option}' has the name of a clause")


def _problem(entry: EntryPoint, error: Exception) -> ConfigError:
    source = f" of {entry.dist.name}" if entry.dist is not None else ""
    return ConfigError(
        f"entry point '{entry.name} = {entry.value}'{source} gives no kind of fault: "
        f"{type(error).__name__}: {error}",
        option=GROUP,
        value=entry.name,
        code="broken-extension",
    )

"""Which protocols and kinds there are, and who turns sentences into specifications.

proxies.ini is read against a Registry, so that the reader knows no protocol and no kind, and so
that only this file reaches for the installed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import attrs

from rascal.errors import ConfigError
from rascal.language import Condition, Phrase
from rascal.options import OptionTable
from rascal.wire.types import WireProtocol


@attrs.frozen(kw_only=True)
class Registry:
    """The vocabulary of a configuration.

    Attributes:
        protocols: by name.
        kinds: the option tables of the kinds that a protocol has, by kind.
        recipes: the option tables of the recipes, by name.
        fault, script, roulette, recipe: build specifications; each raises ConfigError.
    """

    protocols: Mapping[str, WireProtocol]
    kinds: Callable[[WireProtocol], Mapping[str, OptionTable]]
    recipes: Mapping[str, OptionTable]
    fault: Callable[[Phrase, WireProtocol, str], Any]
    script: Callable[[tuple[Phrase, ...], tuple[Condition, ...], WireProtocol, str], Any]
    roulette: Callable[[tuple[Phrase, ...], WireProtocol, str], Any]
    recipe: Callable[[Phrase, WireProtocol, str], tuple[Any, ...]]


def broken_extensions() -> list[ConfigError]:
    """Why protocols and kinds of other distributions are not there, one line each."""
    build = import_module("rascal.faults.build")
    wire = import_module("rascal.wire")
    return [*wire.broken().values(), *build.broken().values()]


@cache
def installed() -> Registry:
    """The protocols, kinds and recipes of this installation."""
    build = import_module("rascal.faults.build")
    wire = import_module("rascal.wire")

    def no_recipe(phrase: Phrase, protocol: WireProtocol, name: str) -> tuple[Any, ...]:
        raise phrase.problem("there are no recipes in this installation")

    return Registry(
        protocols=wire.protocols(),
        kinds=build.tables,
        recipes=getattr(build, "recipes", dict)(),
        fault=lambda phrase, protocol, name: build.build_fault(phrase, protocol, name=name),
        script=build.build_script,
        roulette=build.build_roulette,
        recipe=getattr(build, "build_recipe", no_recipe),
    )

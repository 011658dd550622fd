"""From sentences that have been read to what the data path installs; and names for the nameless."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

import attrs

from rascal.config.registry import Registry
from rascal.config.specs import Form, Installed
from rascal.language import Condition, Phrase
from rascal.wire.types import WireProtocol


def build(
    registry: Registry,
    protocol: WireProtocol,
    form: Form,
    name: str,
    phrases: tuple[Phrase, ...],
    *,
    match: tuple[Condition, ...] = (),
    enabled: bool = True,
    path: str | None = None,
    line: int | None = None,
) -> Installed:
    """Build the specifications of something whose sentences have been read. Raises ConfigError."""
    phrase = phrases[0]
    specs: tuple[Any, ...]
    if form == "script":
        specs = (registry.script(phrases, match, protocol, name),)
    elif form == "roulette":
        specs = (registry.roulette(phrases, protocol, name),)
    elif form == "recipe":
        specs = tuple(registry.recipe(phrase, protocol, name))
    else:
        specs = (registry.fault(phrase, protocol, name),)
        enabled = phrase.clause("enabled", True)
    if not enabled and form != "fault":
        specs = tuple(
            attrs.evolve(spec, enabled=False) if hasattr(spec, "enabled") else spec
            for spec in specs
        )
    if form in ("fault", "recipe"):
        phrases = (unnamed(phrase),)
    found = Installed(
        form=form,
        name=name,
        phrases=phrases,
        match=match,
        enabled=enabled,
        specs=specs,
        path=path,
        line=line,
    )
    # Made now, one by one: a listing of ten thousand must not stop to do it for all.
    assert found.text
    assert found.structure
    return found


def free_name(usual: str, taken: Container[str]) -> str:
    """KIND, KIND-2 …; of a recipe its name."""
    name, number = usual, 1
    while name in taken:
        number += 1
        name = f"{usual}-{number}"
    return name


def unnamed(phrase: Phrase) -> Phrase:
    """The phrase without the clauses that an Installed keeps itself."""
    clauses = tuple((k, v) for k, v in phrase.clauses if k not in ("name", "enabled"))
    return replace(phrase, clauses=clauses)

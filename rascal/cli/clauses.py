"""Clauses as flags: `--match … --count 1` is `… match … count 1`, the same words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from rascal.cli.completing import matches
from rascal.control.client import FaultData

FLAGS: dict[str, tuple[str, str]] = {
    "match": ("CONDITIONS", "Which exchanges: command=GET and key^=session:"),
    "at": ("MOMENT", "When in the exchange: request, reply …"),
    "direction": ("DIRECTION", "to_upstream, to_client or both."),
    "probability": ("SHARE", "Of those that match: 20%."),
    "per": ("WHAT", "exchange or connection."),
    "skip": ("N", "Let the first N pass."),
    "every": ("N", "Strike each N-th."),
    "count": ("N", "Strike at most N times."),
    "for": ("TIME", "Disarm after so long: 20s."),
    "on_remove": ("WHAT", "Of what it holds: release or close."),
    "name": ("NAME", "What it is called."),
}
TERMS = {
    "enable_in": ("TIME", "Arm it after so long."),
    "lease": ("LEASE", "Remove it unless this lease is renewed: NAME or 15s."),
}


def clause_flags(*left_out: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the flags of all clauses but those."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, (metavar, text) in reversed((FLAGS | TERMS).items()):
            if name not in left_out:
                function = click.option(
                    f"--{name.replace('_', '-')}",
                    f"{name}_",
                    metavar=metavar,
                    help=text,
                    shell_complete=matches if name == "match" else None,
                )(function)
        return click.option("--disabled", is_flag=True, help="Do not arm it yet.")(function)

    return decorate


def clauses_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The clauses that were given as flags, in the order in which they are written."""
    found = {name: given.get(f"{name}_") for name in FLAGS}
    known = {name: value for name, value in found.items() if value is not None}
    return known | ({"enabled": "no"} if given.get("disabled") else {})


def terms_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """`enable_in` and `lease`."""
    found = {name: given.get(f"{name}_") for name in TERMS}
    return {name: value for name, value in found.items() if value is not None}


def sentence(words: Sequence[str], given: Mapping[str, Any]) -> str:
    """One text of the words and the flags behind them."""
    from rascal.language import from_argv

    text = from_argv(words)
    return " ".join([text, *(f"{name} {value}" for name, value in clauses_of(given).items())])


def state_text(one: FaultData) -> str:
    """Whether it can strike, in a word or two."""
    from rascal.cli.output import span

    wait = one.get("enables_in")
    if wait is not None:
        return f"armed in {span(wait)}"
    if not one["enabled"]:
        return "disabled"
    if not one["armed"]:
        return "used up" if one.get("expires_in") is None else "over"
    left = one.get("expires_in")
    return "armed" if left is None else f"armed, lifts itself in {span(left)}"


def words_of(one: FaultData) -> str:
    """What it is, in the language; of a script with its match."""
    text = one.get("text", "")
    if one.get("form") == "script":
        match = one.get("match")
        return f"script {text}" + (f" match {match}" if match else "")
    return f"roulette {text}" if one.get("form") == "roulette" else text


def line_of(proxy: str, one: FaultData) -> str:
    """`db/error  error(deadlock) count 2  armed`."""
    return f"{proxy}/{one['name']}  {words_of(one)}  {state_text(one)}"

"""A plan in words, as it is written on the command line and in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rascal.language import LanguageError, from_json, show

_DEFAULTS: Mapping[str, Any] = {
    "timeout": "30s",
    "connect_timeout": "5s",
    "connections": "shared",
    "verify": True,
    "resend": True,
    "max_time": "1d",
    "max_requests": 1_000_000_000,
    "loss": "redistribute",
    "spacing": "poisson",
    "max_in_flight": 10_000,
}
_DRIVEN = ("shares", "profile", "scenarios", "replay")
_APART = ("version", "file", "target", "seed", "name", "labels", "shares", "objectives", "stop")


def plan_lines(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, in words), only what is not as it is without saying."""
    if plan.get("file"):
        yield "file", str(plan["file"])
    if plan.get("target"):
        yield "target", str(plan["target"])
    for one in plan.get("shares") or ():
        yield "load", share_words(one)
    for name in ("objectives", "stop"):
        for one in plan.get(name) or ():
            yield "objective" if name == "objectives" else "stop rule", phrase("objective", one)
    for key, value in plan.items():
        if key not in _APART and value not in (None, "", [], {}, _DEFAULTS.get(key)):
            yield key.replace("_", " "), value_words(value)


def share_words(share: Any) -> str:
    """`hold 200/s for 1m by browse, buy`."""
    if not isinstance(share, Mapping):
        return value_words(share)
    load = f"replay {share['replay']}" if share.get("replay") else ""
    load = load or phrase("profile", share.get("profile") or [])
    scenarios = ", ".join(map(str, share.get("scenarios") or ()))
    more = [
        f"{key.replace('_', ' ')} {value_words(value)}"
        for key, value in share.items()
        if key not in _DRIVEN and value not in (None, "", [], {}, _DEFAULTS.get(key))
    ]
    return load + (f" by {scenarios}" if scenarios else "") + "".join(f", {one}" for one in more)


def phrase(type_: str, data: Any) -> str:
    """What the language calls it; as it stands if it is of another version."""
    try:
        return data if isinstance(data, str) else show(from_json(type_, data))
    except (LanguageError, LookupError, TypeError, ValueError):
        return value_words(data)


def value_words(value: Any) -> str:
    """Any JSON on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={value_words(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(value_words(one) for one in value)
    return str(value)

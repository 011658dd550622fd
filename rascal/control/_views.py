"""What the API shows of the node's objects. Values only; nothing is decided here.

Options and clauses are in the language's JSON (quantities with units); what was measured is plain
numbers in seconds, bytes and counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import attrs

from rascal.config.proxying import PLAIN
from rascal.language import show, to_json

HITS = 20
"""So many of the latest match numbers that were struck are shown."""

NUMBERS = ("matched", "fired", "reserved", "waiting")


# ---- proxies


def proxy(one: Any) -> dict[str, Any]:
    """A proxy and what is on it, in short."""
    armed = sum(fault.armed for fault in one.gate.faults.values())
    return settings(one) | {
        "addresses": [str(address) for address in one.addresses],
        "connections": {
            "open": len(one.gate.connections),
            "total": one.gate.counts.connections,
        },
        "exchanges": one.recent.total,
        "faults": {"installed": len(one.gate.faults), "armed": armed},
    }


def settings(one: Any) -> dict[str, Any]:
    """What a request may say of a proxy."""
    spec = one.spec
    return {
        "name": one.name,
        "protocol": spec.protocol.name,
        "listen": [str(address) for address in spec.listen],
        "upstream": str(spec.upstream),
        "enabled": one.enabled,
        "options": {k: to_json(value) for k, value in spec.given.items() if k not in PLAIN},
    }


def counters(one: Any) -> dict[str, Any]:
    """What a proxy and each of its faults have counted."""
    to_upstream, to_client = one.gate.traffic()
    return {
        **_counts(one.gate.counts),
        "open": len(one.gate.connections),
        "exchanges": one.recent.total,
        "to_upstream": to_upstream,
        "to_client": to_client,
        "faults": {name: numbers(fault) for name, fault in one.gate.faults.items()},
    }


def _counts(counts: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in attrs.fields(type(counts)):
        value = getattr(counts, field.name)
        found[field.name] = dict(value) if isinstance(value, Mapping) else value
    return found


# ---- faults


def numbers(fault: Any) -> dict[str, Any]:
    """The books of one fault: matched == fired + reserved + all that was skipped."""
    return {
        "matched": fault.matched,
        "fired": fault.fired,
        "reserved": fault.reserved,
        "waiting": fault.waiting if fault.live else 0,
        "skipped": dict(fault.skipped),
    }


def fault_objects(owner: Any, one: Any) -> dict[str, Any]:
    """The faults in the gate that an installed thing is made of."""
    faults = owner.gate.faults
    return {spec.name: faults[spec.name] for spec in one.specs if spec.name in faults}


def installed(owner: Any, one: Any, part: str | None = None) -> dict[str, Any]:
    """A fault, roulette, script or recipe; of a recipe `part` alone if it is given."""
    return of_faults(owner, one, fault_objects(owner, one), part)


def of_faults(
    owner: Any, one: Any, faults: Mapping[str, Any], part: str | None = None, *, terms: Any = None
) -> dict[str, Any]:
    """The same, of given fault objects (they may have left the gate)."""
    now = owner.gate.clock.now()
    terms = terms or owner.terms.get(one.name)
    enable_at = None if terms is None else terms.enable_at
    if part is not None:
        fault = faults.get(part)
        known = {"name": part, "form": "fault", "recipe": one.name}
        if fault is None:
            return known
        phrase = fault.spec.phrase
        return known | {
            "text": fault.spec.text,
            "enabled": one.enabled,
            **_state(fault, now),
            "structure": to_json(phrase),
        }
    shown: dict[str, Any] = {
        "name": one.name,
        "form": one.form,
        "text": one.text,
        "enabled": one.enabled,
        "lease": None if terms is None else terms.lease,
        "enables_in": None if enable_at is None else _left(enable_at, now),
    }
    if one.form == "recipe":
        parts = {name: installed_part(owner, one, faults, name) for name in faults}
        shown |= _sums(faults.values()) | {"parts": parts}
    else:
        for fault in faults.values():
            shown |= _state(fault, now)
    if one.form == "script":
        shown |= _steps(one, next(iter(faults.values()), None))
    shown["structure"] = one.structure
    return shown


def installed_part(owner: Any, one: Any, faults: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One fault of a recipe."""
    return of_faults(owner, one, faults, name)


def _state(fault: Any, now: float) -> dict[str, Any]:
    found = numbers(fault)
    found["armed"] = fault.armed
    found["used"] = fault.used
    found["hits"] = [*islice(reversed(fault.hits), HITS)][::-1] if fault.hits else []
    found["expires_in"] = _expires_in(fault, now)
    return found


def _expires_in(fault: Any, now: float) -> float | None:
    lasts = fault.spec.lasts
    if not fault.armed or lasts is None or fault.enabled_at is None:
        return None
    return _left(fault.enabled_at + lasts, now)


def _left(when: float, now: float) -> float:
    """Seconds until then."""
    return round(max(0.0, when - now), 3)


def _sums(faults: Iterable[Any]) -> dict[str, Any]:
    all_ = list(faults)
    skipped: Counter[str] = Counter()
    for fault in all_:
        skipped.update(fault.skipped)
    sums = {name: sum(getattr(fault, name) for fault in all_) for name in NUMBERS}
    return {"armed": any(fault.armed for fault in all_), **sums, "skipped": dict(skipped)}


def _steps(one: Any, fault: Any) -> dict[str, Any]:
    """The steps of a script, counts expanded, and what became of each."""
    texts = [text for phrase in one.phrases for text in _step_texts(phrase)]
    states = list(fault.step_states) if fault is not None else ["unused"] * len(texts)
    steps = [
        {"n": n, "text": text, "state": state}
        for n, (text, state) in enumerate(zip(texts, states, strict=False), 1)
    ]
    return {
        "steps": steps,
        "reached": sum(state != "unused" for state in states),
        "unused": [step["n"] for step in steps if step["state"] == "unused"],
        "void": [step["n"] for step in steps if str(step["state"]).startswith("void")],
        "match": show(one.match) if one.match else "",
    }


def _step_texts(phrase: Any) -> list[str]:
    clauses = tuple((name, value) for name, value in phrase.clauses if name != "count")
    text = "pass" if phrase.kind == "pass" else show(_with(phrase, clauses))
    return [text] * int(phrase.clause("count", 1))


def _with(phrase: Any, clauses: tuple[Any, ...]) -> Any:
    return replace(phrase, clauses=clauses)


# ---- traffic


def record(one: Any) -> dict[str, Any]:
    """One exchange that is over."""
    return {
        "number": one.number,
        "connection": one.connection,
        "n": one.n,
        "client": one.client,
        "command": one.command,
        "at": round(one.at, 6),
        "seconds": round(one.seconds, 6),
        "outcome": one.outcome,
        "faults": list(one.faults),
        "size": one.size,
        "fields": one.fields,
    }


def connection(one: Any) -> dict[str, Any]:
    """One connection that lives."""
    now = one.clock.now()
    return {
        "number": one.number,
        "client": one.client_address,
        "seconds": round(now - one.began, 3),
        "idle": round(now - one.touched, 3),
        "state": _connection_state(one),
        "ended_by": one.ended_by,
        "faults": sorted({strike.fault.name for strike in list(one.strikes)}),
        "held_by": sorted(
            {s.fault.name for s in list(one.strikes) if s.state == "fired" and s.holding > 0}
        ),
    }


def _connection_state(one: Any) -> str:
    """connecting, relaying, raw (its bytes are not the protocol), dead (bytes were lost), …"""
    if one.turned_away:
        return "turned away"
    if one.stuck is not None:
        return "dead"
    if one.upstream is None:
        return "connecting"
    return "raw" if one.is_raw else "relaying"


# ---- the node


def lease(one: Any, members: Iterable[tuple[Any, str]], now: float) -> dict[str, Any]:
    """A lease and what is under it."""
    return {
        "id": one.id,
        "seconds": one.seconds,
        "expires_in": _left(one.ends, now),
        "holds": [f"{proxy.name}/{name}" for proxy, name in members],
    }


def definition(one: Any) -> dict[str, Any]:
    """A proxy and what is on it, as requests write it; nothing that is counted."""
    found: dict[str, Any] = {name: {} for name in ("faults", "scripts", "recipes")}
    for each in one.installed.values():
        where = {"script": "scripts", "recipe": "recipes"}.get(each.form, "faults")
        terms = one.terms.get(each.name)
        found[where][each.name] = {
            "form": each.form,
            "text": each.text,
            "enabled": each.enabled,
            "lease": None if terms is None else terms.lease,
            "structure": each.structure,
        }
    return settings(one) | found


def panic(one: Any) -> dict[str, Any]:
    """The lever."""
    return {"on": one.on, "by": one.by, "since": one.since}


def changes(one: Any) -> dict[str, Any]:
    """What a reload did."""
    return {
        "summary": one.summary(),
        "added": [spec.name for spec in one.added],
        "removed": [spec.name for spec in one.removed],
        "changed": {change.name: _change(change) for change in one.changed},
        "service": list(one.service),
    }


def _change(change: Any) -> dict[str, Any]:
    return {
        "listener": change.listener,
        "protocol": change.protocol,
        "settings": list(change.settings),
        "added": [one.name for one in change.added],
        "removed": [one.name for one in change.removed],
        "changed": [one.name for one in change.changed],
        "reordered": change.reordered,
    }

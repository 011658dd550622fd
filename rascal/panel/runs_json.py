"""A stored run as JSON for pages and programs. Values of headers are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rascal.errors import RascalError
from rascal.language import from_json, show

HIDDEN = "***"


def run_json(run: Any, verdict: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One run, without its rows. `verdict` is what rascal.store.verdicts gives."""
    said = verdict or {}
    ended = run.ended
    if run.started is None or run.state == "running":
        lasted = None
    else:
        lasted = round(max(0.0, (ended or run.beat) - run.started), 1)
    return {
        "id": run.id,
        "kind": run.kind,
        "name": run.name,
        "state": run.state,
        "outcome": run.outcome,
        "status": run.status,
        "why": str(run.summary.get("why") or ""),
        "created": run.created,
        "started": run.started,
        "ended": ended,
        "lasted": lasted,
        "labels": list(run.labels),
        "forked_from": run.forked_from or None,
        "by": str(run.about.get("by") or ""),
        "host": run.host,
        "pid": run.pid,
        "seed": run.seed,
        "word": str(said.get("word") or ""),
        "sentence": str(said.get("sentence") or ""),
        "spec": spec(run.plan),
    }


def spec(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What the run was asked to do, in words."""
    shares = [
        {
            "scenarios": list(share.get("scenarios") or ()),
            "profile": _text("profile", share.get("profile")),
            "replay": share.get("replay") or "",
            "spacing": share.get("spacing") or "",
        }
        for share in plan.get("shares") or ()
        if isinstance(share, Mapping)
    ]
    return {
        "target": str(plan.get("target") or ""),
        "file": str(plan.get("file") or ""),
        "shares": shares,
        "timeout": plan.get("timeout"),
        "options": dict(plan.get("options") or {}),
        "headers": dict.fromkeys(plan.get("headers") or {}, HIDDEN),
        "objectives": [_text("objective", one) for one in plan.get("objectives") or ()],
        "stop": [_text("objective", one) for one in plan.get("stop") or ()],
        "connections": plan.get("connections"),
    }


def _text(type_: Any, data: Any) -> str:
    if not data:
        return ""
    with suppress(RascalError):
        return show(from_json(type_, data))
    return ""

"""What came of a run, as observers are told of it; read in the store's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.panel.history import STATUS
from rascal.panel.runs_json import run_json
from rascal.store.errors import StoreError
from rascal.store.verdicts import verdict_of

MANY = 50
"""Runs that are told of in one go."""
LONG = 120.0
"""Seconds without a sign of life until a run whose process is gone counts as ended."""


def due(store: Any, since: float, told: frozenset[str]) -> list[tuple[str, str]]:
    """Runs that ended since then and are not among `told`: (uid, number), in that order."""
    found = []
    for uid, number in store.database.select(
        "SELECT uid, id FROM runs WHERE ended > ? ORDER BY ended, id", since
    ):
        if uid not in told:
            found.append((uid, str(number)))
    for uid, number, beat in store.database.select(
        "SELECT uid, id, beat FROM runs WHERE ended IS NULL AND beat > ?", since
    ):
        if uid in told:
            continue
        run = store.run(str(number))
        if run.state == "lost" and store._now() - beat > LONG:
            found.append((uid, str(number)))
    return found[:MANY]


def payload(store: Any, which: str, link: str) -> dict[str, Any] | None:
    """What is told: JSON of a webhook, the values of mail and command. None: it is not there."""
    try:
        run = store.run(which)
    except StoreError:
        return None
    verdict = verdict_of(store, run.id) if run.kind == "experiment" else {}
    facts = run_json(run, verdict)
    kept = {
        name: facts[name]
        for name in ("id", "kind", "name", "state", "outcome", "status", "why", "started", "ended",
                     "lasted", "labels", "forked_from", "by", "host", "seed")
    }  # fmt: skip
    job = run.about.get("job")
    return {
        "event": "run.ended",
        "id": f"{run.uid}-ended",
        "run": {**kept, "uid": run.uid, "target": facts["spec"]["target"],
                "ended": run.ended or run.beat},
        "verdict": {"word": facts["word"], "sentence": facts["sentence"]},
        "sentence": sentence_of(facts),
        "job": dict(job) if isinstance(job, Mapping) else None,
        "link": f"{link}/runs/{run.id}",
    }  # fmt: skip


def sentence_of(facts: Mapping[str, Any]) -> str:
    """The one sentence that says what came of it."""
    if facts["sentence"]:
        said = str(facts["sentence"])
        if facts["word"] and not said.lower().startswith(facts["word"].lower()):
            said = f"{facts['word'].capitalize()}: {said}"
    elif facts["state"] == "lost":
        said = "its process has gone without a word"
    else:
        known = STATUS.get(facts["status"]) if facts["outcome"] == "completed" else None
        word, more, _ = known or (str(facts["outcome"] or "ended").capitalize(), "", "")
        said = f"{word}: {more}" if more else word
        if facts["why"]:
            said += f" ({facts['why']})"
    return f"{facts['name']} #{facts['id']}: {said}"

"""The history of runs: what matches a search, page by page, and one run as a row of a list.

Everything here is done in the store's thread (`panel.runs.ask`). A page reads only the runs that
it shows; the search itself is left to SQLite, so that thousands of runs cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from rascal.experiment.outputs.headline import SIGNS, word_tone
from rascal.load.masking import mask_url
from rascal.panel.runs_json import run_json
from rascal.store.verdicts import verdict_of

PAGE = 50
BASELINE = "baseline"
"""The label of the run that others of its name are held against."""
TREND = 20
"""Runs in the strip of one experiment."""
CHOICES = 300
"""Names and labels to choose from, at most."""

STATUS = {
    0: ("Completed", "", "ok"),
    1: ("Objective missed", "", "bad"),
    2: ("Could not run", "", "warn"),
    3: ("Not sound", "the measurement proves nothing", "warn"),
    4: ("Stopped by a rule", "", "warn"),
    130: ("Interrupted", "", "none"),
}
"""Exit statuses of load runs, which have no verdict: a word, more of it, how good that is."""
TONES = {"good": "ok", "warn": "warn", "bad": "bad", "": "none"}
_WORD = "json_extract(data.value, '$.word')"
_FROM = "FROM runs LEFT JOIN data ON data.run = runs.id AND data.key = 'verdict'"


@attrs.frozen(kw_only=True)
class Search:
    """What is looked for; all of it has to hold."""

    text: str = ""
    """In the name, the target, the verdict, a label, who started it; or #NUMBER."""
    experiment: str = ""
    verdict: str = ""
    """A verdict's word, or how the run ended: completed, stopped, running …"""
    label: str = ""
    kind: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Search:
        """From a query string; what cannot be is left out."""
        page = query.get("page", "1")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
        kind = query.get("kind", "")
        return cls(
            text=query.get("q", "").strip()[:200],
            experiment=query.get("experiment", "")[:200],
            verdict=query.get("verdict", "")[:40],
            label=query.get("label", "")[:200],
            kind=kind if kind in ("load", "experiment") else "",
            page=max(1, number),
        )

    @property
    def any(self) -> bool:
        """Something is looked for."""
        return bool(self.text or self.experiment or self.verdict or self.label or self.kind)

    def query(self, **changes: Any) -> dict[str, str]:
        """As it stands in an address, without what is usual."""
        found = {
            "q": self.text,
            "experiment": self.experiment,
            "verdict": self.verdict,
            "label": self.label,
            "kind": self.kind,
            "page": "" if self.page == 1 else str(self.page),
            **changes,
        }
        return {name: value for name, value in found.items() if value}

    def sql(self) -> tuple[str, list[Any]]:
        """The condition and its values."""
        parts: list[str] = []
        values: list[Any] = []
        if self.experiment:
            parts.append("runs.name = ?")
            values.append(self.experiment)
        if self.kind:
            parts.append("runs.kind = ?")
            values.append(self.kind)
        if self.label:
            parts.append("EXISTS (SELECT 1 FROM labels WHERE run = runs.id AND label = ?)")
            values.append(self.label)
        if self.verdict == "running":
            parts.append("runs.ended IS NULL")
        elif self.verdict:
            parts.append(f"coalesce(nullif({_WORD}, ''), runs.outcome) = ?")
            values.append(self.verdict)
        if self.text:
            part, more = _text(self.text)
            parts.append(part)
            values += more
        return " AND ".join(parts) or "1", values


def _text(text: str) -> tuple[str, list[Any]]:
    number = text.removeprefix("#")
    if text.startswith("#") and number.isascii() and number.isdigit() and len(number) < 19:
        return "runs.id = ?", [int(number)]
    sought = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    columns = ("runs.name", "json_extract(runs.plan, '$.target')", _WORD, "runs.outcome",
               "runs.host", "json_extract(runs.about, '$.by')")  # fmt: skip
    likes = [f"{column} LIKE ? ESCAPE '\\'" for column in columns]
    likes.append("EXISTS (SELECT 1 FROM labels WHERE run = runs.id AND label LIKE ? ESCAPE '\\')")
    values: list[Any] = [sought] * len(likes)
    if number.isascii() and number.isdigit() and len(number) < 19:
        likes.append("runs.id = ?")
        values.append(int(number))
    return f"({' OR '.join(likes)})", values


def find(store: Any, search: Search) -> dict[str, Any]:
    """One page of what matches, and what there is to choose from."""
    where, values = search.sql()
    select = store.database.select
    count = int(select(f"SELECT count(*) {_FROM} WHERE {where}", *values)[0][0])
    pages = max(1, -(-count // PAGE))
    page = min(search.page, pages)
    numbers = select(
        f"SELECT runs.id {_FROM} WHERE {where} ORDER BY runs.id DESC LIMIT ? OFFSET ?",
        *values, PAGE, (page - 1) * PAGE,
    )  # fmt: skip
    return {
        "rows": [row(store, str(number)) for (number,) in numbers],
        "count": count,
        "pages": pages,
        "page": page,
        "all": int(select("SELECT count(*) FROM runs")[0][0]),
        "names": list(store.names())[:CHOICES],
        "labels": store.labels()[:CHOICES],
        "words": words(store),
        "trend": trend(store, search.experiment) if search.experiment else None,
    }


def words(store: Any) -> list[str]:
    """Verdicts, and ends of runs without one, that there are."""
    found = store.database.select(
        f"SELECT DISTINCT coalesce(nullif({_WORD}, ''), runs.outcome) AS word {_FROM} ORDER BY word"
    )
    return [str(word) for (word,) in found if word]


def row(store: Any, which: str) -> dict[str, Any]:
    """One run, as lists and comparisons show it."""
    run = store.run(which)
    said = verdict_of(store, run.id)
    word, note, tone = _shown(run, str(said.get("word") or ""))
    plain = run_json(run)
    kept = ("id", "kind", "name", "state", "outcome", "status", "why", "ended", "lasted")
    return {
        **{name: plain[name] for name in kept},
        "at": run.started or run.created,
        "labels": [one for one in run.labels if one != BASELINE],
        "baseline": BASELINE in run.labels,
        "who": str(run.about.get("by") or "") or (f"on {run.host}" if run.host else ""),
        "target": mask_url(str(run.plan.get("target") or "")),
        "word": str(said.get("word") or ""),
        "sentence": str(said.get("sentence") or ""),
        "shown": word,
        "note": note,
        "tone": tone,
        "sign": sign_of(said["word"]) if said.get("word") else None,
        "kept": said.get("kept"),
        "recovered": said.get("recovered"),
    }


def sign_of(word: str) -> dict[str, str]:
    """The little curve of a verdict: path, dashed, tone (ok, warn, bad)."""
    path, dashed = SIGNS.get(word, ("", "M4 17H42"))
    return {"path": path, "dashed": dashed, "tone": TONES[word_tone(word)]}


def _shown(run: Any, word: str) -> tuple[str, str, str]:
    """How it went: a word or two, more of it, and how good that is."""
    if run.state == "running":
        return ("Running" if run.started else "Starting"), "", "none"
    if word:
        return word.capitalize(), "", sign_of(word)["tone"]
    if run.state == "lost":
        return "Lost", "its process is gone", "bad"
    if run.outcome == "completed" and run.kind == "load":
        return STATUS.get(run.status, ("Completed", "", "none"))
    if run.outcome == "completed":
        return "Ended early", "", "none"
    return str(run.outcome or "ended").capitalize(), "", "warn" if run.status else "none"


def trend(store: Any, name: str) -> dict[str, Any]:
    """The last runs of one name, oldest first: what each kept, and its word."""
    found = store.database.select(
        f"SELECT runs.id, data.value {_FROM} WHERE runs.name = ? AND runs.ended IS NOT NULL "
        "ORDER BY runs.id DESC LIMIT ?",
        name, TREND,
    )  # fmt: skip
    bars = []
    counts: dict[str, int] = {}
    for number, value in reversed(found):
        said = json.loads(value) if value else {}
        word = str(said.get("word") or "")
        tone = sign_of(word)["tone"] if word else "none"
        bars.append({"id": str(number), "word": word, "kept": said.get("kept"), "tone": tone})
        if word:
            counts[word] = counts.get(word, 0) + 1
    return {"bars": bars, "words": sorted(counts.items(), key=lambda one: -one[1])}


def pin(store: Any, which: str, on: bool) -> dict[str, Any]:
    """Make a run the one that others of its name are held against, or no more."""
    run = store.run(which)
    if on:
        others = store.database.select(
            "SELECT runs.id FROM runs JOIN labels ON labels.run = runs.id "
            "WHERE label = ? AND name = ? AND runs.id != ?",
            BASELINE, run.name, int(run.id),
        )  # fmt: skip
        for (number,) in others:
            store.label(str(number), [], [BASELINE])
    store.label(run.id, [BASELINE] if on else [], [] if on else [BASELINE])
    return row(store, run.id)


def baseline_of(store: Any, name: str) -> str:
    """The pinned run of a name; "" if there is none."""
    found = store.database.select(
        "SELECT max(runs.id) FROM runs JOIN labels ON labels.run = runs.id "
        "WHERE label = ? AND name = ?",
        BASELINE, name,
    )  # fmt: skip
    return "" if found[0][0] is None else str(found[0][0])

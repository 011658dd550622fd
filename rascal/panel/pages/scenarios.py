"""Scenarios: the files that are there, and a form for each that starts load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from rascal.control._problems import Problem
from rascal.panel.folders import Found
from rascal.panel.helpers import Helpers, within
from rascal.panel.load_plan import LISTS, PASSED, planned
from rascal.panel.scenario_files import ScenarioFiles, dumps
from rascal.panel.site import Call, Panel

QUICK = 0.03
"""Seconds that a page waits for what is slow; the rest comes later."""
WARM = 0.5
"""Seconds after the start until files are read for the first time."""
TEMPLATES = ("scenarios.html", "scenario.html", "experiments.html", "experiment.html",
             "experiment_edit.html", "experiment_new.html")  # fmt: skip
SHOWN = 8
"""Runs of a file."""
HISTORY = 200
SMALLEST = """\
from rascal.load import scenario

@scenario
async def browse(user):
    (await user.get("/")).check(status=200)
"""
TYPES: Mapping[str, str] = {
    "count": "a whole number",
    "positive": "a whole number above 0",
    "number": "a number",
    "text": "text",
    "name": "a name",
    "flag": "yes or no",
    "duration": "a time, such as 250ms or 2s",
    "size": "a size, such as 64KiB",
    "rate": "a rate, such as 20/s",
    "throughput": "a throughput, such as 1MB/s",
    "percentage": "a share, such as 20%",
    "probability": "a share, such as 20%",
    "distribution": "a time or a distribution: 2s, 1s..3s, normal(2s, 500ms)",
}
"""How values of a type are written."""


def routes(panel: Panel) -> None:
    """Add the addresses, and the files themselves."""
    helpers = Helpers(panel.reactor)
    panel.closing.append(helpers.close)
    panel.scenarios = ScenarioFiles(panel, helpers)
    begin = getattr(panel.reactor, "callWhenRunning", None)
    if begin is not None:
        begin(_warm, panel)
    panel.templates.globals |= {"place_text": place_text, "brief": brief}
    panel.page("/scenarios", _page)
    panel.page("/scenarios/<path:name>", _one)
    panel.api("GET", "/api/v1/scenarios", _list)
    panel.api("GET", "/api/v1/scenarios/<path:name>", _get)
    panel.asks("/api/v1/scenarios/<path:name>/plan", _plan)
    panel.api("POST", "/api/v1/scenarios/<path:name>/once", _once, "operator")


def _warm(panel: Panel) -> None:
    """Soon after the start, so that the first visit waits for nothing."""
    timer = panel.reactor.callLater(WARM, _read_all, panel)
    panel.closing.append(lambda: timer.cancel() if timer.active() else None)


def _read_all(panel: Panel) -> None:
    async def every() -> None:
        for found in await panel.scenarios.files():
            panel.scenarios.known(found)
        await panel.experiments.all_facts()
        for name in TEMPLATES:
            panel.templates.get_template(name)
            await deferLater(panel.reactor, 0.0)

    Deferred.fromCoroutine(every()).addErrback(lambda failure: None)  # pages will say it


# ---- runs of files


async def runs_of(call: Call, kind: str) -> list[dict[str, Any]]:
    """The newest runs of a kind, with their verdicts, as a list of plain facts."""

    def look(store: Any) -> list[dict[str, Any]]:
        from rascal.panel.runs_json import run_json
        from rascal.store.verdicts import verdict_of

        return [
            run_json(run, verdict_of(store, run.id) if kind == "experiment" else None)
            for run in store.runs(kind=kind, last=HISTORY)
        ]

    if call.panel.runs is None:
        return []
    try:
        found: list[dict[str, Any]] = await call.panel.runs.ask(look)
    except Exception:  # a store that is not there yet, or shut: the page goes without
        return []
    return sorted(found, key=lambda run: int(run["id"]), reverse=True)


def _of_file(runs: list[dict[str, Any]], found: Found) -> list[dict[str, Any]]:
    return [run for run in runs if run["spec"]["file"] == found.path.name]


# ---- the list


async def _page(call: Call) -> Any:
    scenarios: ScenarioFiles = call.panel.scenarios
    waited = Deferred.fromCoroutine(_rows(call, wait=False))
    rows = await within(call.panel.reactor, waited, QUICK, None)
    # With an error instead, the page waits for the API, which says it.
    rows = rows if isinstance(rows, list) else None
    return "scenarios.html", {
        "title": "Scenarios",
        "folder": str(scenarios.folder.base),
        "rows": rows,
        "pending": rows is None or any(row["pending"] for row in rows),
        "smallest": SMALLEST,
    }


async def _list(call: Call) -> Any:
    return {"scenarios": {row["name"]: row for row in await _rows(call, wait=True)}}


async def _rows(call: Call, *, wait: bool) -> list[dict[str, Any]]:
    scenarios: ScenarioFiles = call.panel.scenarios
    files = await scenarios.files()
    if wait:
        await gatherResults([Deferred.fromCoroutine(scenarios.about(one)) for one in files])
    runs = await runs_of(call, "load")
    rows = []
    for found in files:
        about = scenarios.known(found)
        last = _of_file(runs, found)[:1]
        rows.append(
            {
                "name": found.name,
                "url": url_of("/scenarios", found.name),
                "pending": about is None,
                "doc": first_sentence(about["doc"]) if about else "",
                "scenarios": about["scenarios"] if about else {},
                "parameters": about["parameters"] if about else [],
                "findings": about["findings"] if about else [],
                "last": last[0] if last else None,
            }
        )
    return rows


def url_of(section: str, name: str) -> str:
    """The page of a file."""
    return f"{section}/{quote(name)}"


def place_text(finding: Mapping[str, Any], name: str) -> str:
    """`shop.py:12`: where a mistake stands; for templates."""
    line = finding.get("line")
    return f"{finding.get('file') or name}{f':{line}' if line else ''}"


def brief(message: str) -> str:
    """A finding in a list: what is wrong and what was meant, without all that is allowed."""
    said = re.split(r"; |, found|\. ", message, maxsplit=1)[0].rstrip(".")
    near = re.search(r"Did you mean '[^']*'\?", message)
    return f"{said}. {near[0]}" if near and near[0] not in said else said


def first_sentence(text: str) -> str:
    """The first line of a description, as a list shows it."""
    line = " ".join(text.strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[.:])\s", line, maxsplit=1)[0][:200].rstrip(":")


# ---- one file


async def _one(call: Call, name: str) -> Any:
    scenarios: ScenarioFiles = call.panel.scenarios
    found = await scenarios.find(name)
    about = scenarios.known(found)
    if about is None:
        waited = Deferred.fromCoroutine(scenarios.about(found))
        about = await within(call.panel.reactor, waited, QUICK, None)
    waited_runs = Deferred.fromCoroutine(runs_of(call, "load"))
    runs = _of_file(await within(call.panel.reactor, waited_runs, QUICK, []), found)
    values = _prefilled(call.query, runs, about)
    plan = planned(about, found.path.name, values, _allow(call)) if about else {}
    plan.pop("values", None)
    return "scenario.html", {
        "title": found.name,
        "name": found.name,
        "pending": about is None,
        "about": about or {"doc": "", "scenarios": {}, "parameters": [], "findings": []},
        "fields": [field_of(one) for one in about["parameters"]] if about else [],
        "values": values,
        "plan": plan,
        "data": dumps({"name": found.name, "plan": plan}),
        "runs": runs[:SHOWN],
        "once": scenarios.once.get(found.name),
        "targets": _targets(runs),
        "redis": bool(call.panel.settings.redis),
    }


def _prefilled(
    query: Mapping[str, str], runs: list[dict[str, Any]], about: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What stands in the form at first: of the address, of the last run, or usual."""
    last = runs[0]["spec"] if runs else {}
    draw = {"model": "open", "shape": "steady", "level": "20", "ramp": "5s", "for": "60s",
            "peak": "100", "count": "5", "every": "10s", "words": ""}  # fmt: skip
    draw |= {name: query[name] for name in draw if name in query}
    if query.get("profile"):
        draw |= {"shape": "words", "words": query["profile"]}
    options = {one["name"]: one["default"] for one in (about or {}).get("parameters", ())}
    options |= {
        name.partition(".")[2]: value
        for name, value in query.items()
        if name.startswith("options.")
    }
    found: dict[str, Any] = {name: query.get(name, "") for name in (*PASSED, "agents", *LISTS)}
    found["target"] = found["target"] or last.get("target") or ""
    found["only"] = found["only"].split(",") if found["only"] else []
    return {**found, "draw": draw, "options": options}


def _targets(runs: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(run["spec"]["target"] for run in runs if run["spec"]["target"]))[:10]


def _allow(call: Call) -> list[str]:
    return list(call.panel.settings.targets)


def field_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says about a typed parameter beside its field."""
    kind = one["type"]
    bounds = ""
    if one["least"] is not None and one["most"] is not None:
        bounds = f"{one['least']} to {one['most']}"
    elif one["least"] is not None:
        bounds = f"at least {one['least']}"
    elif one["most"] is not None:
        bounds = f"at most {one['most']}"
    written = "" if isinstance(kind, list) else TYPES.get(kind, kind)
    usually = f"usually {one['default']}" if one["default"] and not isinstance(kind, list) else ""
    parts = (one["help"].rstrip(". "), written, bounds, usually)
    return {**one, "about": " · ".join(filter(None, parts)), "choice": isinstance(kind, list)}


async def _get(call: Call, name: str) -> Any:
    found = await call.panel.scenarios.find(name)
    about = await call.panel.scenarios.about(found)
    runs = _of_file(await runs_of(call, "load"), found)
    return {**about, "url": url_of("/scenarios", found.name), "runs": [run["id"] for run in runs]}


async def _whole(call: Call, name: str) -> tuple[Found, dict[str, Any], dict[str, Any]]:
    """The file, what it declares, and the answer to the form that was sent."""
    given = call.body()
    if not isinstance(given, dict):
        raise Problem(400, "json-object", "a form is a JSON object")
    found = await call.panel.scenarios.find(name)
    about = await call.panel.scenarios.about(found)
    return found, about, planned(about, found.path.name, given, _allow(call))


async def _plan(call: Call, name: str) -> Any:
    """What the form would run, or what is wrong with it, by field."""
    _, about, plan = await _whole(call, name)
    return {**plan, "findings": about["findings"]}


async def _once(call: Call, name: str) -> Any:
    """One visit of each chosen scenario, request by request."""
    found, _, plan = await _whole(call, name)
    errors = {
        field: text for field, text in plan["errors"].items() if not field.startswith("draw.")
    }
    if errors:
        field, text = next(iter(errors.items()))
        raise Problem(422, "not-allowed", text, pointer=f"/{field}", fields=errors)
    return await call.panel.scenarios.visit(found, plan["values"], _allow(call))

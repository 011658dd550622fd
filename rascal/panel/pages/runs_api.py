"""Runs for pages and programs: start, look at, stop, change, repeat, label, delete; the queue."""

from __future__ import annotations

from typing import Any

from rascal.control._problems import Problem, wrong_member
from rascal.errors import ConfigErrors
from rascal.panel.active import ActiveRun
from rascal.panel.asking import EXPERIMENT
from rascal.panel.columns import CLASSES, COLUMNS, UNITS
from rascal.panel.running import Runs
from rascal.panel.runs_json import run_json
from rascal.panel.site import Call, Panel

MOST = 1000
"""Runs in one list."""
FLOWS = 50


def routes(panel: Panel) -> None:
    """Add the addresses, and the runs themselves."""
    panel.runs = runs = Runs(panel)
    begin = getattr(panel.reactor, "callWhenRunning", None)
    if begin is not None:
        begin(runs.begin_to_look)
    one = "/api/v1/runs/<run>"
    panel.api("GET", "/api/v1/runs", _list)
    panel.api("POST", "/api/v1/runs", _start, "operator")
    panel.api("GET", one, _get)
    panel.api("PATCH", one, _label, "operator")
    panel.api("DELETE", one, _delete, "operator")
    panel.api("POST", f"{one}/stop", _stop, "operator")
    panel.api("POST", f"{one}/change", _change, "operator")
    panel.api("POST", f"{one}/replay", _replay, "operator")
    panel.api("GET", f"{one}/events", _events)
    panel.api("GET", f"{one}/series", _series)
    panel.api("PUT", "/api/v1/runs/lever", _lever, "operator")
    panel.api("GET", "/api/v1/queue", _queue)
    panel.api("DELETE", "/api/v1/queue/<entry>", _cancel, "operator")


# ---- lists


async def _list(call: Call) -> Any:
    query = call.query
    last = _number(query.get("last"), "last", 100, 1, MOST)
    runs = call.panel.runs

    def look(store: Any) -> dict[str, Any]:
        from rascal.store.verdicts import verdict_of

        found = store.runs(
            labels=[query["label"]] if query.get("label") else [],
            outcomes=[query["outcome"]] if query.get("outcome") else [],
            kind=query.get("kind", ""),
            name=query.get("name", ""),
            last=last,
        )
        return {run.id: run_json(run, verdict_of(store, run.id)) for run in found}

    return {"runs": await runs.ask(look), "queue": runs.queue.json()}


async def _get(call: Call, run: str) -> Any:
    runs = call.panel.runs
    which = await runs.find(run)

    def look(store: Any) -> dict[str, Any]:
        from rascal.store.verdicts import verdict_of

        found = store.run(which)
        return {
            **run_json(found, verdict_of(store, found.id)),
            "versions": dict(found.versions),
            "summary": dict(found.summary),
            "command": str(found.about.get("command") or ""),
            "files": store.digests(found.id),
        }

    found = await runs.ask(look)
    active = runs.active.get(which)
    return found | ({"live": active.brief()} if active is not None and active.ready else {})


async def _queue(call: Call) -> Any:
    return call.panel.runs.queue.json()


async def _cancel(call: Call, entry: str) -> None:
    await call.panel.runs.cancel(entry)


# ---- changes


async def _start(call: Call) -> Any:
    """{"load": {file, target, …}}, {"experiment": {file or text, …}} or {"replay": {"run": …}}."""
    body = _object(call.body())
    runs, by = call.panel.runs, call.caller.name
    if len(body) != 1 or next(iter(body)) not in ("load", "experiment", "replay"):
        raise Problem(
            422, "not-allowed",
            "a run is {\"load\": {…}}, {\"experiment\": {…}} or {\"replay\": {\"run\": …}}",
        )  # fmt: skip
    kind, given = next(iter(body.items()))
    given, trusted = dict(_object(given)), call.caller.may("admin")
    if kind == "load":
        found = await runs.start_load(given, by=by)
    elif kind == "experiment":
        file, text = given.pop("file", None), given.pop("text", None)
        name = given.pop("name", "")
        if (file is None) == (text is None) or not isinstance(text, str | None):
            raise Problem(422, "not-allowed", "an experiment is a file, or a text", pointer="/file")
        for flag in given:
            if flag not in EXPERIMENT:
                raise ConfigErrors([wrong_member(flag, EXPERIMENT, "an experiment's run")])
        found = await runs.start_experiment(
            file, text=text, name=str(name), by=by, trusted=trusted, **given
        )
    else:
        found = await runs.replay(str(given.pop("run", "")), given, by=by, trusted=trusted)
    return _begun(call, found)


def _begun(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    """201 with the run, or 202 while it waits or is slow to begin."""
    call.request.setResponseCode(201 if "run" in found else 202)
    if "run" in found:
        found["url"] = f"/runs/{found['run']}/live"
    return found


async def _stop(call: Call, run: str) -> Any:
    body = _object(call.body())
    call.request.setResponseCode(202)
    return await call.panel.runs.stop(run, now=body.get("now") is True, by=call.caller.name)


async def _change(call: Call, run: str) -> Any:
    """{"profile": text} for all, or {"profiles": {scenario: text}}."""
    body = _object(call.body())
    profiles = body.get("profiles")
    if profiles is None and isinstance(body.get("profile"), str):
        profiles = {"": body["profile"]}
    if (
        not isinstance(profiles, dict)
        or not profiles
        or not all(isinstance(one, str) for one in profiles.values())
    ):
        text = "which load? a profile, such as 'hold 400/s', or profiles by scenario"
        raise Problem(422, "not-allowed", text, pointer="/profile")
    call.request.setResponseCode(202)
    return await call.panel.runs.change(
        run, profiles, by=call.caller.name, force=body.get("force") is True
    )


async def _replay(call: Call, run: str) -> Any:
    found = await call.panel.runs.replay(
        run, _object(call.body()), by=call.caller.name, trusted=call.caller.may("admin")
    )
    return _begun(call, found)


async def _lever(call: Call) -> Any:
    """{"on": true} ends all runs and lets none begin; /api/v1/panic does that and more."""
    body, runs, by = _object(call.body()), call.panel.runs, call.caller.name
    if not isinstance(body.get("on"), bool):
        raise Problem(422, "not-allowed", 'the lever is on or not: {"on": true}', pointer="/on")
    stopped = await runs.stop_all(by) if body["on"] else runs.release(by)
    return {"held": runs.held, "stopped": stopped or []}


async def _label(call: Call, run: str) -> Any:
    """{"labels": […]}: all of them; or {"add": […], "remove": […]}."""
    body = _object(call.body())
    runs = call.panel.runs
    lists = {name: body.get(name, []) for name in ("add", "remove")}
    if "labels" in body:
        lists["add"] = body["labels"]
        known = (await runs.ask(lambda store: store.run(run))).labels
        lists["remove"] = [one for one in known if one not in (body["labels"] or ())]
    for name, values in lists.items():
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise Problem(422, "not-allowed", "labels are a list of texts", pointer=f"/{name}")
    return await runs.label(run, lists["add"], lists["remove"])


async def _delete(call: Call, run: str) -> None:
    await call.panel.runs.delete(run)


# ---- looking on


async def _events(call: Call, run: str) -> Any:
    flows = _flows(call)
    active: ActiveRun = await call.panel.runs.open(run, flows)
    return call.panel.stream(call, active.view(flows).hub)


async def _series(call: Call, run: str) -> Any:
    runs, flows = call.panel.runs, _flows(call)
    active: ActiveRun = await runs.open(run)
    first = _number(call.query.get("from"), "from", 0, 0, 1 << 40)
    last = _number(call.query.get("to"), "to", 1 << 40, 0, 1 << 40)
    rows, fine, drawn = active.columns(first, last)
    found = {
        "run": active.id,
        "columns": COLUMNS,
        "units": UNITS,
        "classes": CLASSES,
        "rows": rows,
        "fine": fine,
        "bands": drawn,
        "phases": active.phases,
        "faults": active.own,
        "names": sorted(active.state.get("flows", {})),
    }
    if flows:
        found["flows"] = await runs.flow_rows(active.id, flows, first, last)
    return found


def _flows(call: Call) -> tuple[str, ...]:
    names = [one for one in call.query.get("flows", "").split(",") if one]
    return tuple(sorted(dict.fromkeys(names)))[:FLOWS]


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Problem(400, "json-object", "a change is a JSON object")
    return body


def _number(text: str | None, name: str, usual: int, least: int, most: int) -> int:
    if text in (None, ""):
        return usual
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 12:
        raise Problem(422, "not-allowed", f"{name} is a whole number", pointer=f"/{name}")
    return min(most, max(least, int(text)))

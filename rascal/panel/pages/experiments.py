"""Experiments: the files that are there, their verdicts, and an editor with the plan beside it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from twisted.internet.defer import Deferred

from rascal.control._problems import Problem
from rascal.errors import did_you_mean
from rascal.experiment.outputs.headline import MEANINGS, SIGNS, word_tone
from rascal.experiment.schema import schema
from rascal.experiment.specification import DEFAULT_PHASES, PHASES
from rascal.experiment.starter import FAULTS
from rascal.faults.recipes import RECIPES
from rascal.panel.experiment_files import SUFFIXES, ExperimentFiles
from rascal.panel.folders import Found
from rascal.panel.helpers import Helpers, within
from rascal.panel.pages.scenarios import QUICK, runs_of, url_of
from rascal.panel.scenario_files import dumps
from rascal.panel.site import Call, Panel

SHOWN = 20
"""Runs of an experiment."""
SIGNED = 6
"""Verdicts in the list."""
MOST_TIMES = 50
CLASSES = {"good": "ok", "warn": "warn", "bad": "bad"}
FORM = ("target", "scenarios", "rate", "proxy", "fault", "expect", "node")


def routes(panel: Panel) -> None:
    """Add the addresses, and the files themselves."""
    helpers = panel.scenarios.helpers if panel.scenarios is not None else Helpers(panel.reactor)
    if panel.scenarios is None:
        panel.closing.append(helpers.close)
    panel.experiments = ExperimentFiles(panel, helpers)
    panel.templates.globals |= {"sign_of": sign_of, "signs": SIGNS}
    panel.page("/experiments", _page)
    panel.page("/experiments/new", _new, "operator")
    panel.page("/experiments/<path:name>", _one)
    panel.page("/experiments/<path:name>/edit", _edit, "operator")
    api = "/api/v1/experiments"
    panel.api("GET", api, _list)
    panel.api("POST", api, _create, "operator")
    panel.api("GET", f"{api}/schema", _schema)
    panel.asks(f"{api}/check", _check, "operator")
    panel.asks(f"{api}/moved", _moved, "operator")
    panel.asks(f"{api}/starter", _starter, "operator")
    panel.api("POST", f"{api}/fits", _fits, "operator")
    panel.api("GET", f"{api}/<path:name>", _get)
    panel.api("GET", f"{api}/<path:name>/plan", _plan)
    panel.api("PUT", f"{api}/<path:name>", _save, "operator")
    panel.api("POST", f"{api}/<path:name>/repeat", _repeat, "operator")


def sign_of(word: str) -> dict[str, str]:
    """The little curve of a verdict, its tone and what it means; for templates."""
    path, dashed = SIGNS.get(word, ("", "M4 17H42"))
    tone = CLASSES[word_tone(word)] if word in SIGNS else "none"
    tone = "warn" if word == "invalid" else tone
    return {"path": path, "dashed": dashed, "tone": tone, "means": MEANINGS.get(word, "")}


# ---- the list


async def _page(call: Call) -> Any:
    waited = Deferred.fromCoroutine(_rows(call, wait=False))
    rows = await within(call.panel.reactor, waited, QUICK, None)
    return "experiments.html", {
        "title": "Experiments",
        "folder": str(call.panel.experiments.folder.base),
        "rows": rows,
        "pending": rows is None or any(row["pending"] for row in rows),
    }


async def _list(call: Call) -> Any:
    return {"experiments": {row["name"]: row for row in await _rows(call, wait=True)}}


async def _rows(call: Call, *, wait: bool) -> list[dict[str, Any]]:
    experiments: ExperimentFiles = call.panel.experiments
    if wait:
        await experiments.all_facts()
    files = await experiments.files()
    if not wait and any(experiments.known(one) is None for one in files):
        experiments.all_facts().addErrback(lambda failure: None)
    runs = await runs_of(call, "experiment")
    return [_row(found, experiments.known(found), runs) for found in files]


def _row(
    found: Found, facts: Mapping[str, Any] | None, runs: list[dict[str, Any]]
) -> dict[str, Any]:
    known = facts or {}
    name = str(known.get("name") or PurePosixPath(found.name).stem)
    return {
        "name": found.name,
        "called": name,
        "url": url_of("/experiments", stem_of(found.name)),
        "pending": facts is None,
        "target": known.get("target", ""),
        "recipes": known.get("recipes", []),
        "faults": known.get("faults", []),
        "seconds": known.get("seconds"),
        "expect": known.get("expect", ""),
        "findings": known.get("findings", []),
        "runs": [_brief(run) for run in runs if run["name"] == name][:SIGNED],
    }


def _brief(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run in a list of verdicts."""
    names = ("id", "state", "word", "sentence", "status", "started", "created", "outcome", "seed",
             "labels", "lasted", "by")  # fmt: skip
    return {name: run[name] for name in names}


def stem_of(name: str) -> str:
    """The name of a file as its address has it: without `.yml`."""
    return name.removesuffix(".yml")


# ---- one experiment


async def _one(call: Call, name: str) -> Any:
    experiments: ExperimentFiles = call.panel.experiments
    found = await experiments.find(name)
    text, _ = await experiments.text(found)
    checked = experiments.last_plan(found)
    facts = await _quickly(call, experiments.facts(found), experiments.known(found))
    runs = await _quickly(call, runs_of(call, "experiment"), [])
    row = _row(found, facts, runs)
    mine = [_brief(run) for run in runs if run["name"] == row["called"]][:SHOWN]
    words = Counter(run["word"] for run in mine if run["word"])
    return "experiment.html", {
        "title": row["called"],
        "row": row,
        "text": text,
        "checked": checked,
        "runs": mine,
        "words": words.most_common(),
        "data": dumps({"file": found.name, "url": row["url"], "checked": checked}),
    }


async def _quickly(call: Call, asked: Any, otherwise: Any) -> Any:
    """What comes soon; the page asks for the rest itself."""
    waited = Deferred.fromCoroutine(asked)
    waited.addErrback(lambda failure: failure.trap(Problem) and otherwise)
    return await within(call.panel.reactor, waited, QUICK, otherwise)


async def _edit(call: Call, name: str) -> Any:
    experiments: ExperimentFiles = call.panel.experiments
    found = await experiments.find(name)
    text, digest = await experiments.text(found)
    return _editor(call, found.name, text, digest)


async def _new(call: Call) -> Any:
    """A new file: of a short form, or a copy of another one."""
    experiments: ExperimentFiles = call.panel.experiments
    names = {found.name for found in await experiments.files()}
    other = call.query.get("from", "")
    if other:
        found = await experiments.find(other)
        text, _ = await experiments.text(found)
        return _editor(call, _free(found.name, names), text, None)
    scenarios = await _quickly(call, _scenario_names(call), [])
    return "experiment_new.html", {
        "title": "New experiment",
        "folder": str(experiments.folder.base),
        "proxies": sorted(experiments.proxies() or {}),
        "scenarios": scenarios,
        "words": {word: does for word, (_, does) in FAULTS.items()},
        "recipes": {name: one.summary for name, one in RECIPES.items()},
        "node": next(iter(call.panel.settings.nodes.values()), ""),
        "suggested": _free("experiment.yml", names),
    }


async def _scenario_names(call: Call) -> list[str]:
    """Scenario files as an experiment names them: beside it."""
    base = call.panel.experiments.folder.base
    files = await call.panel.scenarios.files()
    return [one.path.relative_to(base).as_posix() for one in files if one.path.is_relative_to(base)]


def _free(name: str, taken: set[str]) -> str:
    stem = name.rpartition(".")[0]
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{stem}-{number}.yml"
    return found


def _editor(call: Call, name: str, text: str, digest: str | None) -> Any:
    data = {
        "file": name,
        "digest": digest,
        "schema": schema(),
        "phases": list(PHASES),
        "usual": dict(DEFAULT_PHASES),
        "proxies": sorted(call.panel.experiments.proxies() or {}),
    }
    return "experiment_edit.html", {
        "title": f"{name} – edit" if digest else "New experiment",
        "name": name,
        "url": url_of("/experiments", stem_of(name)),
        "text": text,
        "new": digest is None,
        "lines": text.count("\n") + 1,
        "data": dumps(data),
    }


async def _get(call: Call, name: str) -> Any:
    experiments: ExperimentFiles = call.panel.experiments
    found = await experiments.find(name)
    text, digest = await experiments.text(found)
    facts = await experiments.facts(found)
    row = _row(found, facts, await runs_of(call, "experiment"))
    return {**row, "text": text, "digest": digest, "phases": facts.get("phases", {})}


async def _plan(call: Call, name: str) -> Any:
    """Findings and plan of a file as it is."""
    return await call.panel.experiments.plan(await call.panel.experiments.find(name))


# ---- while it is written


async def _schema(call: Call) -> Any:
    return schema()


def _body(call: Call, *texts: str) -> dict[str, Any]:
    body = call.body()
    if not isinstance(body, dict):
        raise Problem(400, "json-object", "a request is a JSON object")
    for name in texts:
        if not isinstance(body.get(name), str):
            raise Problem(422, "not-allowed", f"{name} is a text", pointer=f"/{name}")
    return body


def _placed(call: Call, body: Mapping[str, Any]) -> str:
    """The name under which a text is read, or is to be saved."""
    name = str(body["file"])
    call.panel.experiments.folder.place(name)
    return name


async def _check(call: Call) -> Any:
    """{"text", "file"}: everything that is wrong with it, and the plan."""
    body = _body(call, "text", "file")
    return await call.panel.experiments.check(body["text"], _placed(call, body))


async def _moved(call: Call) -> Any:
    """{"text", "file", "fault", "begins", "ends"} or {"text", "file", "phase", "seconds"}."""
    body = _body(call, "text", "file")
    experiments: ExperimentFiles = call.panel.experiments
    name, text = _placed(call, body), body["text"]
    numbers = {one: body.get(one) for one in ("fault", "begins", "ends", "seconds")}
    for one, value in numbers.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9
        ):
            raise Problem(422, "not-allowed", f"{one} is a number", pointer=f"/{one}")
    if "phase" in body:
        what: dict[str, Any] = {"phase": str(body["phase"]), "seconds": numbers["seconds"] or 0}
        return await experiments.changed_by("lasting", text, name, **what)
    if numbers["fault"] is None or numbers["begins"] is None or numbers["ends"] is None:
        raise Problem(422, "not-allowed", "which fault, from when to when?", pointer="/fault")
    return await experiments.changed_by(
        "moved", text, name, index=int(numbers["fault"]),
        begins=numbers["begins"], ends=numbers["ends"],
    )  # fmt: skip


async def _starter(call: Call) -> Any:
    """The text of the short form."""
    body = _body(call, "file")
    given = {name: str(body.get(name) or "") for name in FORM}
    name = _placed(call, body)
    return {"text": await call.panel.experiments.starter(name, given), "file": name}


async def _fits(call: Call) -> Any:
    """What the proxies say about the faults: each is installed disarmed, and removed at once."""
    body = _body(call, "text", "file")
    name = _placed(call, body)
    return {"findings": await call.panel.experiments.ask_proxies(body["text"], name)}


# ---- saving and running


async def _create(call: Call) -> Any:
    """{"file", "text"}: a new file, never over another."""
    body = _body(call, "text", "file")
    saved = await call.panel.experiments.save(_placed(call, body), body["text"], None)
    call.request.setResponseCode(201)
    return {**saved, "url": url_of("/experiments", stem_of(saved["file"]))}


async def _save(call: Call, name: str) -> Any:
    """{"text", "digest"}: the digest is that of the content which was read."""
    body = _body(call, "text", "digest")
    if not name.endswith(SUFFIXES):
        raise Problem(404, "unknown-name", f"'{name[:200]}' is no experiment file")
    saved = await call.panel.experiments.save(name, body["text"], body["digest"])
    return {**saved, "url": url_of("/experiments", stem_of(name))}


async def _repeat(call: Call, name: str) -> Any:
    """{"times"}: so many runs, with a seed each; the first begins now, the others wait."""
    body = _body(call)
    times = body.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MOST_TIMES:
        raise Problem(
            422, "not-allowed", f"times is a whole number from 1 to {MOST_TIMES}", pointer="/times"
        )
    unknown = [one for one in body if one not in ("times", "seed")]
    if unknown:
        near = did_you_mean(unknown[0], ("times", "seed"))
        raise Problem(422, "not-allowed", f"there is no '{unknown[0]}': times, seed.{near}")
    found = await call.panel.experiments.find(name)
    seed = body.get("seed", 1)
    flags: dict[str, Any] = {"by": call.caller.name, "trusted": call.caller.may("admin")}
    if times > 1:
        flags["labels"] = [f"repeat-{os.urandom(2).hex()}"]
    runs: dict[str, Any] = {"runs": [], "queued": 0, "labels": flags.get("labels", [])}
    for number in range(times):
        if times > 1:
            flags["seed"] = int(seed) + number
        begun = await call.panel.runs.start_experiment(found.name, **flags)
        if "run" in begun:
            runs["runs"].append(begun["run"])
        else:
            runs["queued"] += 1
    call.request.setResponseCode(201 if runs["runs"] else 202)
    if runs["runs"]:
        runs["url"] = f"/runs/{runs['runs'][0]}/live"
    return runs

"""Jobs from git repositories and folders: their list, one of them, and the API behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.control._problems import Problem
from rascal.load.targets import target_problems
from rascal.panel.job_file import LONGEST
from rascal.panel.job_record import OPEN, Job, file_of
from rascal.panel.jobs import OFF, Jobs
from rascal.panel.observers import Observers
from rascal.panel.owned import OwnedTargets
from rascal.panel.site import SECTIONS, Call, Panel

WORDS = {
    "fetching": ("Fetching", "none"),
    "read": ("Read, not run", "none"),
    "installing": ("Installing", "none"),
    "checking": ("Checking", "none"),
    "checked": ("Checked", "none"),
    "running": ("Running", "none"),
    "ended": ("Done", "ok"),
    "failed": ("Failed", "bad"),
    "cancelled": ("Called off", "none"),
}
RUN_WORDS = {
    "waiting": "waits",
    "starting": "starts",
    "running": "runs",
    "failed": "could not run",
    "cancelled": "called off",
}
STEPS = (
    ("fetching", "Fetch"),
    ("read", "Read"),
    ("installing", "Environment"),
    ("checking", "Check"),
    ("running", "Run"),
    ("ended", "Reports"),
)
SHOWN = 100
"""Jobs in the list."""
EXAMPLE = """\
name: checkout
target: http://127.0.0.1:8080
requires: [faker>=24]
experiments:
  - checks/slow-database.yml
scenarios:
  - {file: checks/shop.py, profile: hold 20/s for 1m}
"""


def routes(panel: Panel) -> None:
    """Add the addresses, and jobs, observers and proofs of targets themselves."""
    jobs, observers = Jobs(panel), Observers(panel)
    panel.jobs, panel.observers = jobs, observers
    panel.targets = OwnedTargets(panel)
    begin = getattr(panel.reactor, "callWhenRunning", None)
    if begin is not None:
        begin(jobs.begin)
        begin(observers.begin)
    if jobs.on:
        sections = list(SECTIONS)
        place = [slug for slug, _ in sections].index("runs")
        panel.templates.globals["sections"] = (
            *sections[:place], ("jobs", "Jobs"), *sections[place:],
        )  # fmt: skip
    panel.page("/jobs", _page)
    panel.page("/jobs/<which>", _one)
    panel.api("GET", "/api/v1/jobs", _list)
    panel.api("POST", "/api/v1/jobs", _start, "admin")
    one = "/api/v1/jobs/<which>"
    panel.api("GET", one, _get)
    panel.api("DELETE", one, _delete, "admin")
    panel.api("POST", f"{one}/check", _check, "admin")
    panel.api("POST", f"{one}/run", _run, "admin")
    panel.api("POST", f"{one}/replay", _replay, "admin")
    panel.api("POST", f"{one}/cancel", _cancel, "admin")
    panel.api("GET", "/api/v1/observers", _observers)
    panel.api("POST", "/api/v1/observers/<which>/try", _try, "admin")
    panel.api("GET", "/api/v1/targets", _targets)
    panel.api("POST", "/api/v1/targets/check", _prove, "operator")


# ---- pages


async def _page(call: Call) -> Any:
    jobs: Jobs = call.panel.jobs
    newest = list(reversed(jobs.jobs.values()))[:SHOWN]
    return "jobs.html", {
        "title": "Jobs",
        "on": jobs.on,
        "off": OFF,
        "jobs": [row(one) for one in newest],
        "more": max(0, len(jobs.jobs) - SHOWN),
        "folders": list(call.panel.settings.repository_folders),
        "given": {name: call.query.get(name, "") for name in ("url", "ref", "folder")},
        "may_run": call.caller.may("admin") and jobs.on,
        "example": EXAMPLE,
    }


async def _one(call: Call, which: str) -> Any:
    jobs: Jobs = call.panel.jobs
    job = jobs.find(which)
    facts = job.json()
    has_run = any(one.get("entry") for one in job.items)
    return "job.html", {
        "here": "jobs",
        "title": f"{job.title}, job {job.id}",
        "on": jobs.on,
        "job": facts,
        "row": row(job),
        "items": [item_row(jobs, job, number) for number in range(len(job.items))],
        "steps": steps(job, has_run=has_run),
        "has_run": has_run,
        "may_run": call.caller.may("admin") and jobs.on,
        "can_run": not job.busy and not has_run and bool(job.items) and not job.findings,
        "can_replay": not job.busy
        and bool(job.items)
        and not job.findings
        and (has_run or job.state in ("failed", "cancelled")),
        "cut": len(job.text.encode("utf-8", "replace")) >= LONGEST,
    }


def row(job: Job) -> dict[str, Any]:
    """A job as lists show it, in words."""
    word, tone = WORDS[job.state]
    runs = [item_state(one) for one in job.items if one.get("state")]
    if job.state == "ended" and any(one["tone"] in ("bad", "warn") for one in runs):
        tone = "bad" if any(one["tone"] == "bad" for one in runs) else "warn"
    if job.state in ("read", "checked") and not job.well:
        word, tone = "Something is wrong", "bad"
    if job.stopping and job.busy:
        word = "Ending"
    return {
        **job.brief(),
        "word": word,
        "tone": tone,
        "busy": job.busy,
        "short": str(job.commit.get("id", ""))[:10],
        "shown": runs,
    }


def item_state(item: Mapping[str, Any]) -> dict[str, Any]:
    """What has become of a file's run: words, how good, where to look."""
    state = str(item.get("state") or "")
    found = {"text": RUN_WORDS.get(state, ""), "tone": "none", "url": "", "why": "",
             "run": item.get("run"), "file": file_of(item)}  # fmt: skip
    if state == "waiting" and item.get("position"):
        found["text"] = f"waits, place {item['position']}"
    if item.get("run"):
        found["url"] = f"/runs/{item['run']}" + ("/live" if state == "running" else "")
    if state == "ended":
        found |= _outcome(item)
    elif state == "failed":
        found |= {"tone": "bad", "why": str(item.get("why") or "")}
    return found


def _outcome(item: Mapping[str, Any]) -> dict[str, Any]:
    from rascal.experiment.outputs.headline import word_tone
    from rascal.panel.history import STATUS, TONES

    word = str(item.get("word") or "")
    if word:
        return {"text": word.capitalize(), "tone": TONES.get(word_tone(word), "none")}
    status = item.get("status")
    sure = item.get("outcome") == "completed" and isinstance(status, int)
    known = STATUS.get(int(status or 0)) if sure else None
    text, more, tone = known or (str(item.get("outcome") or "ended").capitalize(), "", "none")
    why = str(item.get("why") or more)
    return {"text": text, "tone": tone, "why": why}


def item_row(jobs: Jobs, job: Job, number: int) -> dict[str, Any]:
    """A file of a job, as its page shows it."""
    item = job.items[number]
    values = item.get("values") or {}
    load = str(values.get("profile") or "")
    if not load:
        parts = [
            f"{values[name]} users" if name == "users" else str(values[name])
            for name in ("rate", "users")
            if values.get(name)
        ]
        load = " ".join([*parts, *([f"for {values['for']}"] if values.get("for") else [])])
    if not load and values.get("profiles"):
        load = "profiles of its own"
    return {
        "number": number,
        "file": file_of(item),
        "scenarios": item["file"] if item.get("of") else "",
        "line": item.get("line"),
        "kind": "Experiment" if item["kind"] == "experiment" else "Load",
        "load": load,
        "target": jobs.target_of(job, item),
        "chosen": item.get("chosen", True),
        "checked": item.get("checked", False),
        "findings": item.get("findings") or [],
        "cautions": item.get("cautions") or [],
        "state": item_state(item) if item.get("state") else None,
        "open": item.get("state") in OPEN,
    }


def steps(job: Job, *, has_run: bool) -> list[dict[str, str]]:
    """How far it has come: each step is done, now, failed or to come."""
    now = {"checked": "checking"}.get(job.state, job.state)
    order = [name for name, _ in STEPS]
    if job.state in ("failed", "cancelled"):
        reached = 4 if has_run else 3 if job.checked else 2 if job.file else 0
        last = {"failed": "wrong", "cancelled": "off"}[job.state]
    else:
        reached, last = order.index(now), "now"
        if job.state in ("read", "checked", "ended"):
            last = "done" if job.well else "wrong"
    found = []
    for number, (_, words) in enumerate(STEPS):
        state = "done" if number < reached else last if number == reached else "ahead"
        if number == 2 and number < reached and not job.requires:
            state = "skipped"
        found.append({"words": words, "state": state})
    return found


# ---- API of jobs


async def _list(call: Call) -> Any:
    jobs: Jobs = call.panel.jobs
    return {"on": jobs.on, "jobs": jobs.snapshot()}


async def _get(call: Call, which: str) -> Any:
    return call.panel.jobs.find(which).json()


async def _start(call: Call) -> Any:
    """{"url", "ref"} or {"folder"}; with "then": "check" or "run" it goes on by itself."""
    given = _object(call.body())
    wanted = given.pop("then", "read")
    if wanted not in ("read", "check", "run"):
        raise Problem(422, "not-allowed", "then is read, check or run", pointer="/then")
    job = call.panel.jobs.start(given, by=call.caller.name, wanted=wanted)
    return _begun(call, job)


async def _check(call: Call, which: str) -> Any:
    return _begun(call, call.panel.jobs.check(which))


async def _run(call: Call, which: str) -> Any:
    """{"items": [0, 2], "target": URL}; all files at their own targets without them."""
    given = _object(call.body())
    items, aim = given.get("items"), given.get("target") or ""
    if items is not None and (
        not isinstance(items, list)
        or not all(isinstance(one, int) and not isinstance(one, bool) for one in items)
    ):
        raise Problem(422, "not-allowed", "items are numbers of files, from 0", pointer="/items")
    if not isinstance(aim, str):
        raise Problem(422, "not-allowed", "target is a base URL", pointer="/target")
    problem = next(iter(target_problems(aim)), "") if aim else ""
    if problem:
        raise Problem(422, "not-allowed", problem, pointer="/target")
    return _begun(call, call.panel.jobs.run(which, items=items, aim=aim.rstrip("/")))


async def _replay(call: Call, which: str) -> Any:
    return _begun(call, call.panel.jobs.replay(which, by=call.caller.name))


async def _cancel(call: Call, which: str) -> Any:
    return _begun(call, await call.panel.jobs.cancel(which, by=call.caller.name))


async def _delete(call: Call, which: str) -> None:
    await call.panel.jobs.delete(which)


def _begun(call: Call, job: Job) -> dict[str, Any]:
    call.request.setResponseCode(202)
    return {**job.json(), "url_here": f"/jobs/{job.id}"}


# ---- API of observers and targets


async def _observers(call: Call) -> Any:
    return {"observers": {one["kind"]: one for one in call.panel.observers.shown()}}


async def _try(call: Call, which: str) -> Any:
    return await call.panel.observers.attempt(which, call.caller.name)


async def _targets(call: Call) -> Any:
    return await call.panel.targets.shown()


async def _prove(call: Call) -> Any:
    """{"target": URL}: look for its proof now, whatever is known."""
    given = _object(call.body())
    return await call.panel.targets.check(given.get("target"))


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Problem(400, "json-object", "a change is a JSON object")
    return dict(body)

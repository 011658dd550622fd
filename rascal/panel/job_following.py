"""The runs of jobs: what a process is told, what has become of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rascal.errors import RascalError
from rascal.panel.job_record import OPEN, Job, Records, file_of

log = Logger()

REST = 0.2
"""Seconds between two looks, however much happens."""
SHORT = 10
"""Digits of a commit, in labels."""


class Following:
    """Follows the runs of jobs through queue and store; rascal.panel.jobs does the rest."""

    def __init__(self, panel: Any, records: Records) -> None:
        self.panel = panel
        self.reactor = panel.reactor
        self.records = records
        self.jobs: dict[str, Job] = {}
        self._timer: Any = None
        self._looking = False
        self._once_more = False
        self._closed = False
        panel.hub.listeners.append(self._heard)

    def over(self, job: Job) -> None:
        """All its runs have ended."""
        raise NotImplementedError

    def changed(self, job: Job) -> None:
        """Keep it, and tell who looks."""
        if self._closed:
            return
        self.records.save(job)
        self.panel.hub.publish("job", job.brief())

    # ---- orders

    def target_of(self, job: Job, item: Mapping[str, Any]) -> str:
        """Where its load goes: who runs it says it, else its own line, else the job's."""
        own = str((item.get("values") or {}).get("target") or "")
        return job.aim or own or job.target

    def order_of(self, job: Job, item: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """What the process of a run is told, and its title. Raises Problem, ConfigErrors."""
        runs, folder = self.panel.runs, str(self.records.files(job))
        values = dict(item.get("values") or {})
        target = self.target_of(job, item)
        labels = [*job.labels, *_listed(values.pop("labels", ())), *_labels_of(job)]
        redis = bool(self.panel.settings.redis)
        if item["kind"] == "experiment":
            flags = {**values, "target": target, "labels": labels}
            flags["lenient"] = str(flags.get("lenient") or "").lower() in ("yes", "true", "on")
            order, title = runs.experiment_order(item["file"], flags, folder=folder, trusted=True)
        else:
            stem = os.path.splitext(os.path.basename(file_of(item)))[0]
            name = f"{job.name} {stem}" if job.name else stem
            given = {"name": name, **values, "file": item["file"], "labels": labels}
            given["target"] = target
            if redis and job.requires:
                given["dependencies"] = [*_listed(given.get("dependencies")), *job.requires]
            order, title = runs.load_order(given, folder=folder)
        if job.requires:
            order["python"] = job.python
            if redis:
                order["requires"] = list(job.requires)
        order["job"] = {
            "id": job.id,
            "name": job.title,
            "source": job.source.url,
            "ref": job.source.ref,
            "commit": str(job.commit.get("id", "")),
            "file": file_of(item),
        }
        return order, title if not job.name or job.name in title else f"{job.name}: {title}"

    # ---- following

    def _heard(self, kind: str, data: Any) -> None:
        if kind in ("run", "queue"):
            self.follow_soon()

    def follow_soon(self) -> None:
        """Look what has become of the runs, in a moment."""
        if self._closed or not any(one.state == "running" for one in self.jobs.values()):
            return
        if self._looking:
            self._once_more = True
        elif self._timer is None or not self._timer.active():
            self._timer = self.reactor.callLater(REST, self._look)

    def stop_following(self) -> None:
        """The panel stops."""
        self._closed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _look(self) -> None:
        self._looking = True
        Deferred.fromCoroutine(self._follow_all()).addErrback(self._lost).addBoth(self._looked)

    def _lost(self, failure: Any) -> None:
        if not self._closed:
            log.warn("runs of jobs cannot be followed: {why}", why=failure.value)
            self._once_more = True

    def _looked(self, _: Any) -> None:
        self._looking = False
        if self._once_more:
            self._once_more = False
            self.follow_soon()

    async def _follow_all(self) -> None:
        for job in [one for one in self.jobs.values() if one.state == "running"]:
            await self._follow(job)

    async def _follow(self, job: Job) -> None:
        queue = self.panel.runs.queue  # first the queue, then the store: nothing falls between
        places = {one.id: place for place, one in enumerate(queue.waiting, 1)}
        starting = set(queue.starting)
        failed = {one.id: (one.made, one.why) for one in queue.failed}
        found = await self.panel.runs.ask(runs_of, job.id)
        before = [dict(one) for one in job.items]
        for item in job.items:
            entry = item.get("entry")
            if not entry or item.get("state") not in OPEN:
                continue
            if entry in found:
                item |= {**found[entry], "position": None}
            elif entry in places:
                item |= {"state": "waiting", "position": places[entry]}
            elif entry in starting:
                item |= {"state": "starting", "position": None}
            elif entry in failed and failed[entry][0] == item["made"]:
                item |= {"state": "failed", "why": failed[entry][1], "position": None}
            elif job.stopping:
                item |= {"state": "cancelled", "position": None}
            else:
                text = "its process has ended before its run began"
                item |= {"state": "failed", "why": text, "position": None}
        if job.stopping and any(one.get("state") in OPEN for one in job.items):
            await self.stop_runs(job, job.by)
        if job.items != before:
            self.changed(job)
        queued = any(one.get("entry") or one.get("state") for one in job.items)
        if queued and not self._enqueuing(job) and not _open(job):
            self.over(job)

    def _enqueuing(self, job: Job) -> bool:
        """Some of its files have yet to be put into the queue."""
        return any(one.get("chosen", True) and not one.get("state") for one in job.items)

    async def stop_runs(self, job: Job, by: str) -> None:
        """End what waits, begins or runs of it."""
        runs = self.panel.runs
        for item in job.items:
            if item.get("state") not in OPEN:
                continue
            with suppress(RascalError, OSError):
                if any(one.id == item["entry"] for one in runs.queue.waiting):
                    await runs.cancel(item["entry"])
                    item |= {"state": "cancelled", "position": None}
                elif item["entry"] in runs.queue.starting:
                    pid = runs.queue.starting[item["entry"]].pid
                    if pid:
                        os.kill(pid, 15)
                elif item.get("run") and not item.get("asked"):
                    item["asked"] = True
                    why = f"its job was called off by {by or 'somebody'}"
                    await runs.ask(_stop, item["run"], why)


def _stop(store: Any, run: str, why: str) -> None:
    store.ask(run, "stop", now=True, why=why)


def _open(job: Job) -> bool:
    return any(one.get("state") in OPEN for one in job.items)


def runs_of(store: Any, job: str) -> dict[str, dict[str, Any]]:
    """The runs of a job by their entry in the queue; in the store's thread."""
    from rascal.panel.runs_json import run_json
    from rascal.store.verdicts import verdict_of

    found = {}
    for (number,) in store.database.select(
        "SELECT id FROM runs WHERE json_extract(about, '$.job.id') = ?", job
    ):
        run = store.run(str(number))
        facts = run_json(run, verdict_of(store, run.id) if run.kind == "experiment" else None)
        found[str(run.about.get("entry") or "")] = {
            "run": run.id,
            "state": {"running": "running", "lost": "failed"}.get(run.state, "ended"),
            "outcome": facts["outcome"],
            "status": facts["status"],
            "word": facts["word"],
            "sentence": facts["sentence"],
            "why": facts["why"] or ("its process has gone" if run.state == "lost" else ""),
        }
    return found


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value or ())


def _labels_of(job: Job) -> list[str]:
    commit = str(job.commit.get("id", ""))[:SHORT]
    return [f"job-{job.id}", *([f"commit-{commit}"] if commit else [])]

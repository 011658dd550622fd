"""Jobs: experiments and load of a git repository or folder that says what it wants in `rascal.yml`.

    fetch (nothing runs) ─► read and show ─► environment ─► check ─► queue ─► runs ─► reports

The panel itself never runs a line of what it fetched. Git, pip, the checks and the runs are
processes of their own that can be called off; runs stand in the same queue as all others, and
carry the commit with them. A panel that is started again goes on with each job where it was.
Off unless the operator says `repositories = yes`, and then for admins alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger

from rascal.control._problems import Problem
from rascal.errors import RascalError
from rascal.panel import job_work
from rascal.panel.admitting import titles
from rascal.panel.helpers import Helpers
from rascal.panel.job_environment import JobEnvironments
from rascal.panel.job_following import Following
from rascal.panel.job_process import Cancelled, Working, end_group
from rascal.panel.job_record import OPEN, WORKING, Job, Records, file_of
from rascal.panel.job_source import Source, source_of
from rascal.store.machine import process

log = Logger()

TOGETHER = 2
"""Jobs that are fetched or checked at the same time."""
KEPT = 300
"""Jobs in the history."""
WITH_FILES = 20
"""Jobs whose files are kept once they have ended; others are fetched again if need be."""
OFF = (
    "jobs from repositories are off: they run other people's code on this machine, as the user of "
    "the panel. 'repositories = yes' in [panel] turns them on, for admins"
)


class Jobs(Following):
    """All jobs of one panel."""

    def __init__(self, panel: Any) -> None:
        base = Path(panel.runs.path).with_suffix(".jobs")
        super().__init__(panel, Records(base))
        self.environments = JobEnvironments(base / "environments")
        self._helpers = Helpers(panel.reactor)
        self._working: dict[str, Working] = {}
        self._tasks: set[Deferred[Any]] = set()
        self._places = DeferredSemaphore(TOGETHER)
        panel.closing.append(self.close)

    @property
    def on(self) -> bool:
        """Whether the operator allows them."""
        return bool(self.panel.settings.repositories)

    def begin(self) -> None:
        """Read what there is, and go on with what was under way."""
        self.jobs = self.records.load()
        if not self.on:
            return
        for job in self.jobs.values():
            if job.state in WORKING:
                if job.pid and process(job.pid) == job.process:
                    end_group(job.pid)  # it worked for a panel that is no more
                job.state = "fetching" if job.state == "fetching" else "read"
                self._go(job)
            elif job.state == "running":
                self.panel.runs.begin_to_look()
        self.follow_soon()

    # ---- what people ask for

    def find(self, which: str) -> Job:
        """Raises Problem (404)."""
        job = self.jobs.get(which)
        if job is None:
            raise Problem(404, "unknown-name", f"there is no job {which[:20]}")
        return job

    def start(self, given: Mapping[str, Any], *, by: str, wanted: str = "read") -> Job:
        """A new job. Raises Problem: off, or not allowed."""
        self._check_on()
        source = source_of(given, self.panel.settings.repository_folders)
        return self._new(source, by=by, wanted=wanted)

    def _new(self, source: Source, *, by: str, wanted: str, **more: Any) -> Job:
        number = max((int(one) for one in self.jobs), default=0) + 1
        job = Job(
            id=str(number), source=source, by=by, made=round(time.time(), 3), wanted=wanted, **more
        )
        self.jobs[job.id] = job
        self._go(job)
        return job

    def check(self, which: str) -> Job:
        """Make its environment, load its scenarios, say what is wrong. Raises Problem."""
        job = self._idle(which)
        self._ready(job)
        job.wanted, job.checked, job.why = "check", False, ""
        for item in job.items:
            item |= {"checked": False, "findings": []}
        self._go(job)
        return job

    def run(self, which: str, *, items: list[int] | None = None, aim: str = "") -> Job:
        """Run its files, or some of them, at another target if need be. Raises Problem."""
        job = self._idle(which)
        self._ready(job)
        if any(one.get("entry") for one in job.items):
            raise Problem(409, "has-run", f"job {job.id} has run: repeat it as a new job")
        for number, item in enumerate(job.items):
            item["chosen"] = items is None or number in items
            item |= {"state": "", "why": ""}
            if aim != job.aim:
                item |= {"checked": False, "findings": []}
        if not any(one["chosen"] for one in job.items):
            raise Problem(422, "not-allowed", "which files? choose one at least", pointer="/items")
        job.aim, job.wanted, job.why = aim, "run", ""
        self._go(job)
        return job

    def replay(self, which: str, *, by: str) -> Job:
        """The same commit once more, as a new job that runs at once. Raises Problem."""
        self._check_on()
        old = self.find(which)
        source = old.source
        if source.kind == "git" and old.commit.get("id"):
            source = attrs.evolve(source, ref=old.commit["id"])
        return self._new(source, by=by, wanted="run", again=old.id, aim=old.aim)

    async def cancel(self, which: str, *, by: str) -> Job:
        """Call it off, wherever it is. Raises Problem: it has ended."""
        job = self.find(which)
        if not job.busy:
            raise Problem(409, "ended", f"job {job.id} does nothing that could be called off")
        job.stopping = True
        job.say(time.time(), f"called off by {by or 'somebody'}")
        working = self._working.get(job.id)
        if working is not None:
            working.cancel()
        await self.stop_runs(job, by)
        self.changed(job)
        self.follow_soon()
        return job

    async def delete(self, which: str) -> None:
        """Take it and its files away; its runs stay. Raises Problem: it goes on."""
        job = self.find(which)
        if job.busy:
            raise Problem(409, "busy", f"job {job.id} goes on: call it off first")
        del self.jobs[job.id]
        await self._helpers.run(self.records.delete, job)
        self.panel.hub.publish("job", {"id": job.id, "state": "deleted"})

    def _check_on(self) -> None:
        if not self.on:
            raise Problem(403, "off", OFF)

    def _idle(self, which: str) -> Job:
        self._check_on()
        job = self.find(which)
        if job.busy:
            raise Problem(409, "busy", f"job {job.id} is being worked on: call it off first")
        return job

    def _ready(self, job: Job) -> None:
        """Whether what was read can go further. Raises Problem."""
        if job.findings:
            first = job.findings[0]
            place = f"{first.get('file', job.file)}:{first.get('line', 1)}"
            raise Problem(
                409, "not-well", f"{place}: {first['message']}: mend it, and fetch it again"
            )
        if not job.items:
            raise Problem(409, "not-well", f"job {job.id} has nothing to run: fetch it again")

    # ---- going on

    def _go(self, job: Job) -> None:
        """Work on it until it has come as far as it is wanted."""
        job.stopping, job.ended = False, None
        job.state = "fetching" if job.state == "fetching" or not self._fetched(job) else "checking"
        self.changed(job)
        working = self._working[job.id] = Working()

        def began(pid: int) -> None:
            self.reactor.callFromThread(self._began, job, working, pid)

        working.began = began
        task: Deferred[Any] = self._places.run(
            lambda: Deferred.fromCoroutine(self._work(job, working))
        )
        self._tasks.add(task)
        task.addErrback(self._broke, job)
        task.addBoth(self._left, task, job)

    def _fetched(self, job: Job) -> bool:
        return bool(job.file) and self.records.files(job).is_dir()

    def _began(self, job: Job, working: Working, pid: int) -> None:
        if self._working.get(job.id) is working and not self._closed:
            job.pid, job.process = pid, process(pid)
            self.records.save(job)

    def _left(self, _: Any, task: Deferred[Any], job: Job) -> None:
        self._tasks.discard(task)

    def _broke(self, failure: Any, job: Job) -> None:
        if failure.check(CancelledError) or self._closed:
            return  # the panel stops; the next one goes on
        log.failure("job {job} failed", failure, job=job.id)
        self._ended(job, "failed", f"our mistake: {failure.value}")

    async def _work(self, job: Job, working: Working) -> None:
        try:
            if job.state == "fetching":
                await self._fetch(job, working)
            if job.wanted != "read" and not job.findings:
                await self._check(job, working)
            if job.wanted == "run" and self._may_run(job):
                await self._enqueue(job, working)
                return
        except Cancelled:
            if not self._closed:
                self._ended(job, "cancelled", "")
            return
        except Problem as problem:
            if self._closed:
                return
            if "\n" in problem.detail:  # what a program said, of which the title is one line
                job.say(time.time(), problem.detail[-500:])
            self._ended(job, "failed", problem.title)
            return
        self._rest(job)

    async def _fetch(self, job: Job, working: Working) -> None:
        ref = job.source.ref or "its usual branch"
        what = job.source.url if job.source.kind == "folder" else f"{ref} of {job.source.url}"
        self._step(job, "fetching", f"fetching {what}")
        folder = self.records.files(job)
        found = await self._helpers.run(job_work.fetch_and_read, job.source, folder, working)
        self._stopped(job)
        chosen = [one.get("chosen", True) for one in job.items]
        for name in ("commit", "name", "file", "text", "target", "requires", "labels", "items",
                     "findings", "notes"):  # fmt: skip
            setattr(job, name, found[name])
        job.suggestion = str(found.get("suggestion", ""))
        job.checked = False
        for number, item in enumerate(job.items):
            item["chosen"] = chosen[number] if len(chosen) == len(job.items) else True
        commit = str(job.commit.get("id", ""))[:10]
        job.say(time.time(), f"read {job.file}{f' of {commit}' if commit else ''}")
        self._step(job, "read")

    async def _check(self, job: Job, working: Working) -> None:
        if job.well and job.checked and self._all_checked(job):
            return
        if job.requires:
            self._step(job, "installing", f"installing {', '.join(job.requires)}")
        job.python = await self._helpers.run(self.environments.python, job.requires, working)
        self._stopped(job)
        folder = self.records.files(job)
        for number, item in enumerate(job.items):
            if item.get("checked") or (job.wanted == "run" and not item.get("chosen", True)):
                continue
            self._step(job, "checking", f"checking {file_of(item)}")
            found = await self._helpers.run(
                job_work.check, item, self.target_of(job, item), job.python, folder, working
            )
            self._stopped(job)
            job.items[number] = {**job.items[number], **found, "checked": True}
        job.checked = True
        wrong = sum(len(one.get("findings") or ()) for one in job.items)
        job.say(time.time(), f"checked: {wrong or 'no'} finding{'s' if wrong != 1 else ''}")

    def _all_checked(self, job: Job) -> bool:
        """Nothing is left to check, and the environment is still there."""
        chosen = [one for one in job.items if one.get("chosen", True)]
        return all(one.get("checked") for one in chosen) and os.path.exists(job.python)

    def _may_run(self, job: Job) -> bool:
        """Nothing that is wrong is run."""
        if job.findings:
            return False
        wrong = [file_of(one) for one in job.items if one.get("chosen") and one.get("findings")]
        if wrong:
            job.why = f"not run: something is wrong with {', '.join(wrong)}"
        return not wrong

    async def _enqueue(self, job: Job, working: Working) -> None:
        self._step(job, "running", "")
        for item in [one for one in job.items if one.get("chosen", True)]:
            if job.stopping or working.cancelled:
                raise Cancelled
            try:
                order, title = self.order_of(job, item)
                entry = await self.panel.runs.enqueue(
                    order, title=title, kind=item["kind"], by=job.by
                )
            except RascalError as error:
                job.why = "; ".join(titles(error)) if isinstance(error, Problem) else str(error)
                job.say(time.time(), f"{file_of(item)}: {job.why}")
                item |= {"state": "failed", "why": job.why}
                continue
            item |= {"entry": entry.id, "state": "waiting", "made": entry.made}
            job.say(time.time(), f"{file_of(item)} is in the queue")
            self.changed(job)
        self._working.pop(job.id, None)
        if not any(one.get("entry") for one in job.items):
            self._rest(job)  # refused: it may be asked for again
            return
        job.why = ""
        self.changed(job)
        self.follow_soon()

    def _stopped(self, job: Job) -> None:
        if job.stopping:
            raise Cancelled

    # ---- states

    def _step(self, job: Job, state: str, text: str = "") -> None:
        job.state = state
        if text:
            job.say(time.time(), text)
        self.changed(job)

    def _rest(self, job: Job) -> None:
        """It has come as far as it can for now."""
        self._working.pop(job.id, None)
        job.pid, job.process = 0, ""
        job.state = "checked" if job.checked else "read"
        self.changed(job)

    def _ended(self, job: Job, state: str, why: str) -> None:
        self._working.pop(job.id, None)
        job.pid, job.process = 0, ""
        job.state, job.why, job.ended = state, why[:1000], round(time.time(), 3)
        if any(one.get("state") in OPEN for one in job.items):
            job.state, job.ended = "running", None  # some were begun: wait for their end
            self.follow_soon()
        elif why:
            job.say(time.time(), why)
        self.changed(job)
        self._tidy()

    def over(self, job: Job) -> None:
        """All its runs have ended."""
        self._ended(job, "cancelled" if job.stopping else "ended", "")

    def _tidy(self) -> None:
        """Let go of what is old."""
        done = [one for one in self.jobs.values() if not one.busy]
        for job in done[:-KEPT] if len(done) > KEPT else ():
            del self.jobs[job.id]
            self._later(self.records.delete, job)
        for job in [one for one in done if one.ended][:-WITH_FILES]:
            if self.records.files(job).exists():
                self._later(self.records.delete_files, job)
        used = [one.python for one in self.jobs.values() if one.busy and one.python]
        self._later(self.environments.tidy, used)

    def _later(self, function: Callable[..., Any], *given: Any) -> None:
        with suppress(Problem):
            self._helpers.run(function, *given).addErrback(
                lambda failure: log.warn("tidying failed: {why}", why=failure.value)
            )

    def snapshot(self) -> dict[str, Any]:
        """All, the newest first."""
        return {one.id: one.brief() for one in reversed(self.jobs.values())}

    def close(self) -> None:
        """The panel stops; the next one goes on with what is under way."""
        self._closed = True
        self.stop_following()
        for working in self._working.values():
            working.cancel()
        for task in list(self._tasks):
            task.cancel()
        self._helpers.close()
